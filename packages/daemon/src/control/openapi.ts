import type { EventRoute, Route, Schema, Schemas } from './route.ts';

export interface ApiInfo {
  /** The daemon's name. */
  readonly title: string;
  readonly description: string;
  readonly version: string;
}

const refusal = { $ref: '#/components/schemas/Refusal' };

/** What the routes say, as an OpenAPI 3.1 document. */
export function openApi(info: ApiInfo, routes: readonly Route[], events: readonly EventRoute[]): object {
  const paths: { [path: string]: { [method: string]: object } } = {};
  const add = (path: string, method: string, described: object) => {
    paths[path] = { ...paths[path], [method.toLowerCase()]: described };
  };
  for (const route of routes) add(route.path, route.method, operation(route));
  for (const route of events) add(route.path, 'GET', eventOperation(route));
  return {
    openapi: '3.1.0',
    info,
    paths,
    components: {
      schemas: {
        Refusal: {
          type: 'object',
          properties: { error: { type: 'string', description: 'The reason, one line.' } },
          required: ['error'],
          additionalProperties: false,
        },
      },
    },
  };
}

function operation(route: Route): object {
  const { method, path, summary, parameters = {}, query = {}, body, answer, answerType = 'application/json' } = route;
  const refusals = Object.entries(route.refusals ?? {}).map(([status, when]) => [status, refused(when)]);
  return {
    operationId: operationId(method, path),
    summary,
    ...parametersOf(parameters, query),
    ...(body !== undefined && { requestBody: { required: true, content: { 'application/json': { schema: body } } } }),
    responses: {
      ...(answer === undefined
        ? { 204: { description: 'Done.' } }
        : { 200: { description: 'Done.', content: { [answerType]: { schema: answer } } } }),
      ...Object.fromEntries(refusals),
      '4XX': refused('The request makes no sense; the device is as it was.'),
    },
  };
}

function eventOperation({ path, summary, state, change }: EventRoute): object {
  const description =
    'Server-sent events. `state`: how things are; first, and after `missed`. `change`: each change since. `missed`: a reader that is too slow has not got ' +
    'so many changes.';
  return {
    operationId: operationId('GET', path),
    summary,
    responses: {
      200: {
        description,
        content: {
          'text/event-stream': {
            schema: { type: 'string' },
            'x-events': { state: state.answer, change: change.answer, missed: missedEvent },
          },
        },
      },
      '4XX': refused('The request makes no sense.'),
      503: refused('Too many streams are open.'),
    },
  };
}

/** The data of the event `missed`. */
export const missedEvent: Schema = {
  type: 'object',
  properties: { changes: { type: 'integer', minimum: 1 } },
  required: ['changes'],
  additionalProperties: false,
};

function parametersOf(path: Schemas, query: Schemas): object {
  const list = (schemas: Schemas, where: 'path' | 'query') =>
    Object.entries(schemas).map(([name, schema]) => ({ name, in: where, required: where === 'path', schema }));
  const parameters = [...list(path, 'path'), ...list(query, 'query')];
  return parameters.length === 0 ? {} : { parameters };
}

function refused(description: string): object {
  return { description, content: { 'application/json': { schema: refusal } } };
}

/** 'patchInputs', 'deleteNamespacesNsid'. */
function operationId(method: string, path: string): string {
  const words = path.split(/[^A-Za-z0-9]+/).filter((word) => word !== '');
  return method.toLowerCase() + words.map((word) => word[0]!.toUpperCase() + word.slice(1)).join('');
}
