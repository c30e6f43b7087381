import type { Page } from 'playwright-core';

/** The contrast of two of the page's colours, by their names in its style sheet (WCAG 2.2, contrast ratio): 1 to 21. */
export async function contrast(page: Page, name: string, behind: string): Promise<number> {
  const script = `['${name}', '${behind}'].map((name) => {
    const probe = document.createElement('i');
    probe.style.color = 'var(--' + name + ')';
    document.body.append(probe);
    const { color } = getComputedStyle(probe);
    probe.remove();
    return color.match(/[\\d.]+/g).map(Number);
  })`;
  const [first, second] = ((await page.evaluate(script)) as number[][]).map(luminance);
  return (Math.max(first!, second!) + 0.05) / (Math.min(first!, second!) + 0.05);
}

function luminance(channels: readonly number[]): number {
  const [red = 0, green = 0, blue = 0] = channels.map((channel) => {
    const part = channel / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
