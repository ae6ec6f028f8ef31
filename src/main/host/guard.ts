/**
 * Who may speak to the browser host. Any page a person has open can send requests to 127.0.0.1, and a name of its own can be made to point
 * there (DNS rebinding); other users of the machine can connect too. So: the Host header must be ours, whatever changes something must come
 * from our own origin, and everything needs the session's secret, which came with the printed URL and lives in a cookie since.
 */
import { randomBytes, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

export type Guard = {
  /** 256 random bits, new at every start. */
  token: string;
  /** Is the Host header one of this server's names? */
  knowsHost(headers: IncomingHttpHeaders): boolean;
  /** Did a page of this server send it? */
  isOwnOrigin(headers: IncomingHttpHeaders): boolean;
  /** Does it make a session: the token, or a ticket that nobody has used? */
  admits(given: string | null): boolean;
  /** Stands for the token once, where others may read along: on a command line. */
  issueTicket(): string;
  hasSession(headers: IncomingHttpHeaders): boolean;
  /** The Set-Cookie header that makes a session. */
  cookie: string;
};

/** `names`: host names and addresses, IPv6 in brackets. */
export function createGuard(names: string[], port: number, token: string = randomBytes(32).toString('base64url')): Guard {
  // a browser sends a cookie to every port of its host: the port is in the name, so that two hosts do not overwrite each other's
  const cookieName = `attune-${port}`;
  const hosts = new Set(names.map((name) => (port === 80 ? name : `${name}:${port}`).toLowerCase()));
  const knowsHost: Guard['knowsHost'] = ({ host }) => host !== undefined && hosts.has(host.toLowerCase());
  const isToken = (given: string): boolean => equal(given, token);
  let ticket: string | null = null;
  return {
    token,
    knowsHost,
    isOwnOrigin: (headers) => knowsHost(headers) && headers.origin?.toLowerCase() === `http://${headers.host!.toLowerCase()}`,
    admits(given) {
      if (given === null) return false;
      if (ticket === null || !equal(given, ticket)) return isToken(given);
      ticket = null;
      return true;
    },
    issueTicket: () => (ticket = randomBytes(32).toString('base64url')),
    hasSession: ({ cookie = '' }) =>
      cookie.split(';').some((pair) => {
        const [name, value = ''] = pair.trim().split('=');
        return name === cookieName && isToken(value);
      }),
    cookie: `${cookieName}=${token}; HttpOnly; SameSite=Strict; Path=/`,
  };
}

/** In constant time. */
function equal(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}
