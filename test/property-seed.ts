/** Random tests have other cases at every run, but in CI always the same: whether a change lands is not a matter of luck. A failure prints its seed. */
import fc from 'fast-check';

if (process.env.CI) fc.configureGlobal({ seed: 11 });
