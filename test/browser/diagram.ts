import type { Page } from 'playwright-core';

/** Where a line is drawn high, in CSS' pixels from the left. */
export interface Run {
  readonly left: number;
  readonly right: number;
}

/** What the timing diagram shows of a line, from its pixels; the page's own module says where its row is. */
export async function highRuns(page: Page, line: number): Promise<Run[]> {
  const script = `import('/diagram.js').then(({ rowOf }) => {
    const canvas = document.getElementById('diagram');
    const scale = devicePixelRatio;
    const { high, low } = rowOf(${line});
    const y = Math.round(((high + low) / 2) * scale);
    const { data } = canvas.getContext('2d').getImageData(0, y, canvas.width, 1);
    const runs = [];
    for (let x = Math.ceil(52 * scale); x < canvas.width; x++) {
      if (data[4 * x + 3] < 20) continue;
      const last = runs.at(-1);
      if (last?.right === x) last.right++;
      else runs.push({ left: x, right: x + 1 });
    }
    return runs.map(({ left, right }) => ({ left: left / scale, right: right / scale }));
  })`;
  const runs = (await page.evaluate(script)) as Run[];
  // The grid is one pixel wide.
  return runs.filter(({ left, right }) => right - left > 3);
}

/** Pixels that a second has. */
export function pixelsPerSecond(page: Page): Promise<number> {
  const script = `import('/diagram.js').then(({ columnOf }) => {
    const width = document.getElementById('diagram').clientWidth;
    return columnOf(1000, 1000, width) - columnOf(0, 1000, width);
  })`;
  return page.evaluate(script) as Promise<number>;
}
