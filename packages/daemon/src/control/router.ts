import { type EventRoute, type Method, Refusal, type Route } from './route.ts';

/** A route, and what stands in its path's braces. */
export interface Match<R> {
  readonly route: R;
  readonly parameters: { readonly [name: string]: string };
}

/** A request's method and path, found. */
export type Found = ({ readonly kind: 'route' } & Match<Route>) | ({ readonly kind: 'events' } & Match<EventRoute>);

/** Finds routes by method and path. There are a handful: they are looked through. */
export class Router {
  readonly #routes: readonly Route[];
  readonly #events: readonly EventRoute[];

  /** @throws when two have the same method and path. */
  constructor(routes: readonly Route[], events: readonly EventRoute[]) {
    this.#routes = routes;
    this.#events = events;
    const names = [
      ...routes.map(({ method, path }) => `${method} ${path}`),
      ...events.map(({ path }) => `GET ${path}`),
    ];
    const twice = names.find((name, index) => names.indexOf(name) !== index);
    if (twice !== undefined) throw new Error(`there are two routes ${twice}`);
  }

  get #described(): boolean {
    return this.#routes.some(({ path }) => path === '/openapi.json');
  }

  /** HEAD is as GET, where there is an answer that ends. @throws Refusal 404 or 405 */
  find(method: string, path: string): Found {
    const wanted = method === 'HEAD' ? 'GET' : method;
    const routes = matches(this.#routes, path);
    const events = matches(this.#events, path);
    const found = routes.find(({ route }) => route.method === wanted);
    if (found !== undefined) return { kind: 'route', ...found };
    const [stream] = events;
    if (stream !== undefined && method === 'GET') return { kind: 'events', ...stream };
    if (routes.length + events.length === 0)
      throw new Refusal(404, `there is no ${path}${this.#described ? ' (GET /openapi.json tells what there is)' : ''}`);
    throw methodNotAllowed(method, [
      ...new Set([...routes.map(({ route }) => route.method), ...events.map(() => 'GET' as const)]),
    ]);
  }
}

function methodNotAllowed(method: string, methods: readonly Method[]): Refusal {
  const allow = methods.join(', ');
  return new Refusal(405, `${method} is not for this path, but ${allow}`, { allow });
}

function matches<R extends { readonly path: string }>(routes: readonly R[], path: string): Match<R>[] {
  return routes.flatMap((route) => {
    const parameters = parametersOf(route.path.split('/'), path.split('/'));
    return parameters === null ? [] : [{ route, parameters }];
  });
}

function parametersOf(template: readonly string[], path: readonly string[]): { [name: string]: string } | null {
  if (template.length !== path.length) return null;
  const parameters: { [name: string]: string } = {};
  for (const [index, part] of template.entries()) {
    const given = path[index]!;
    if (!part.startsWith('{')) {
      if (part !== given) return null;
    } else parameters[part.slice(1, -1)] = decoded(given);
  }
  return parameters;
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new Refusal(400, `the path's ${part} is not well encoded`);
  }
}
