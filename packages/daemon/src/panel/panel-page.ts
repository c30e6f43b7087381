import { readdirSync, readFileSync } from 'node:fs';
import { extname } from 'node:path';
import type { ControlRoutes, Route } from '../control/route.ts';

/** A page for browsers, with --panel: its files, and what of the device's control they use. */
export interface PanelPage {
  /** The files (.html, .css, .js, .svg), all of them, and nothing else: index.html is the page. */
  readonly folder: URL;
  /** 'GET /changes': routes and streams as the control socket has them. The panel has no others. */
  readonly routes: readonly string[];
}

const types: { readonly [extension: string]: string } = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/** Reads the files of a page, small ones, to keep them in memory. */
export function fileRoutes(folder: URL): Route[] {
  return readdirSync(folder).map((name) => {
    const answerType = types[extname(name)];
    if (answerType === undefined) throw new Error(`${name} is no file of a page`);
    const text = readFileSync(new URL(name, folder), 'utf8');
    const path = name === 'index.html' ? '/' : `/${name}`;
    return {
      method: 'GET',
      path,
      summary: 'A file of the page.',
      answer: { type: 'string' },
      answerType,
      handle: () => text,
    };
  });
}

/** Of what the device's control has, what the page uses. */
export function chosen(names: readonly string[], { routes, events = [] }: ControlRoutes): Required<ControlRoutes> {
  const wanted = (method: string, path: string) => names.includes(`${method} ${path}`);
  const found = {
    routes: routes.filter(({ method, path }) => wanted(method, path)),
    events: events.filter(({ path }) => wanted('GET', path)),
  };
  if (found.routes.length + found.events.length !== names.length)
    throw new Error(`not all of these are routes: ${names}`);
  return found;
}
