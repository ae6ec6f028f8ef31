/** What goes wrong with a request, as OpenAI's API says it: a status, and a body { error: { message, type, param, code } }. */

export class ApiError extends Error {
  readonly status: number;
  readonly code: string | null;
  readonly param: string | null;

  constructor(status: number, message: string, { code = null, param = null }: { code?: string | null; param?: string | null } = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.param = param;
  }
}

export function errorBody({ message, status, param, code }: ApiError): { error: { message: string; type: string; param: string | null; code: string | null } } {
  const type = status === 429 ? 'requests' : status >= 500 ? 'server_error' : 'invalid_request_error';
  return { error: { message, type, param, code } };
}
