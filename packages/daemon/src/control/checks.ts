import { Ajv, type ValidateFunction } from 'ajv';
import { Refusal, type Route, type Schemas } from './route.ts';

/** What a route takes, compiled from its schemas. */
export class Checks {
  readonly #body: ValidateFunction | null;
  readonly #parameters: ValidateFunction;
  readonly #query: ValidateFunction;

  constructor(route: Route) {
    this.#body = route.body === undefined ? null : strict.compile(route.body);
    this.#parameters = route.parameters === undefined ? nothing : texts.compile(objectOf(route.parameters, true));
    this.#query = route.query === undefined ? nothing : texts.compile(objectOf(route.query, false));
  }

  /** True for a route that takes a body. */
  get wantsBody(): boolean {
    return this.#body !== null;
  }

  /** @throws Refusal 400 */
  body(body: unknown): unknown {
    if (this.#body !== null) check(strict, this.#body, body, 'the body');
    return body;
  }

  /** Texts of path and query, as what their schemas say they are. @throws Refusal 400 */
  parameters(path: { readonly [name: string]: string }, search: URLSearchParams): object {
    const query: { [name: string]: unknown } = {};
    for (const name of search.keys()) {
      const values = search.getAll(name);
      if (values.length > 1) throw new Refusal(400, `the query has ${name} ${values.length} times`);
      query[name] = values[0];
    }
    const given: { [name: string]: unknown } = { ...path };
    check(texts, this.#parameters, given, 'the path');
    // One number has one path: 0x1, +1 and 1e0 are others.
    for (const [name, value] of Object.entries(given)) {
      if (String(value) !== path[name]) throw new Refusal(400, `the path/${name} must be ${value} as it is written`);
    }
    check(texts, this.#query, query, 'the query');
    return { ...query, ...given };
  }
}

// The schemas are ours, and strict mode tells what is wrong in them: the schema of schemas would cost 2 MiB.
const ours = { strict: true, validateSchema: false, meta: false } as const;
const strict = new Ajv(ours);
const texts = new Ajv({ ...ours, coerceTypes: true });

const nothing = texts.compile(objectOf({}, false));

function objectOf(properties: Schemas, required: boolean): object {
  return {
    type: 'object',
    properties,
    additionalProperties: false,
    ...(required && { required: Object.keys(properties) }),
  };
}

function check(ajv: Ajv, validate: ValidateFunction, data: unknown, what: string): void {
  if (validate(data)) return;
  const [error] = validate.errors ?? [];
  const extra = error?.params as { additionalProperty?: string; allowedValues?: unknown[] } | undefined;
  const reason = ajv.errorsText(validate.errors, { dataVar: what });
  const more = extra?.additionalProperty ?? extra?.allowedValues?.join(', ');
  throw new Refusal(400, more === undefined ? reason : `${reason}: ${more}`);
}
