import { test } from 'vitest';

test.todo('a Linux guest uses the NVMe device as its disk');
