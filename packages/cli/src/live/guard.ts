/**
 * Who may ask for what: the checks that a request passes before anything is done for it.
 *
 *     too long an address          414     a method that the path has not   405
 *     another Host than ours       421     a page of another origin         403
 *     no token, or a wrong one     401     a body where none is expected    413
 *
 * The Host check keeps out pages whose name was made to point at 127.0.0.1 (DNS rebinding); the Origin and Sec-Fetch-Site
 * checks keep out all other pages; the token keeps out other users and other programs of this machine. A token is compared
 * in constant time, as digests, so that neither its length nor its first wrong letter shows.
 *
 * Pure functions, so that every line of the table is tested without a socket (live-guard.test).
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

/** Longest address of a request, in characters. */
export const URL_MAX = 1024;
/** Largest request head, in bytes; larger ones are answered 431 by Node's parser. */
export const HEAD_MAX = 8192;

/** Whom a server answers. */
export interface Access {
  /** Values of `Host` that are the server's own, in lower case. */
  readonly hosts: readonly string[];
  /** What `Authorization: Bearer` must carry; undefined: nothing (a socket in a private folder). */
  readonly token: string | undefined;
}

/** What the checks look at. */
export interface Asked {
  readonly method?: string | undefined;
  readonly url?: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: readonly string[];
}

/** Why a request is not answered. */
export interface Refusal {
  readonly status: number;
  readonly message: string;
}

const refusal = (status: number, message: string): Refusal => ({ status, message });

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/** Whether `given` is `token`. Takes as long for any two strings of these lengths. */
export function isToken(given: string, token: string): boolean {
  return timingSafeEqual(digest(given), digest(token));
}

/** How often a header occurs; Node keeps the first of several Hosts, another server on the way may take the last. */
function occurrences(asked: Asked, name: string): number {
  return asked.rawHeaders.filter((text, i) => i % 2 === 0 && text.toLowerCase() === name).length;
}

/** Host, Origin and Sec-Fetch-Site: whether it is one of the server's own pages, or no page at all, that asks. */
function refuseOrigin(asked: Asked, access: Access): Refusal | undefined {
  const { host = '', origin } = asked.headers;
  if (occurrences(asked, 'host') !== 1 || !access.hosts.includes(host.toLowerCase()))
    return refusal(421, `this server is ${access.hosts[0]}, not what the request's Host says`);
  if (origin !== undefined && origin.toLowerCase() !== `http://${host.toLowerCase()}`)
    return refusal(403, 'pages of other origins may not ask');
  const site = asked.headers['sec-fetch-site'];
  if (site !== undefined && site !== 'same-origin' && site !== 'none')
    return refusal(403, 'pages of other sites may not ask');
  return undefined;
}

function refuseBody(asked: Asked): Refusal | undefined {
  const length = asked.headers['content-length'];
  const hasBody =
    asked.headers['transfer-encoding'] !== undefined || (length !== undefined && length !== '0');
  return hasBody ? refusal(413, 'requests have no body here') : undefined;
}

function refuseToken(asked: Asked, access: Access): Refusal | undefined {
  if (access.token === undefined) return undefined;
  const [, given] = /^Bearer ([\x21-\x7e]{1,256})$/.exec(asked.headers.authorization ?? '') ?? [];
  if (given !== undefined && isToken(given, access.token)) return undefined;
  return refusal(401, 'the token is missing or wrong: use the address that the program printed');
}

/**
 * Why the request is refused; undefined if it may pass. `methods`: those that its path has, undefined if there is no
 * such path. `isPublic`: it needs no token (the page's own files, which hold nothing).
 */
export function refuse(
  asked: Asked,
  access: Access,
  methods: readonly string[] | undefined,
  isPublic: boolean,
): Refusal | undefined {
  if ((asked.url ?? '').length > URL_MAX)
    return refusal(414, `an address has at most ${URL_MAX} characters here`);
  const foreign = refuseOrigin(asked, access) ?? refuseBody(asked);
  if (foreign !== undefined) return foreign;
  const unknown = isPublic ? undefined : refuseToken(asked, access);
  if (unknown !== undefined) return unknown;
  if (methods === undefined) return refusal(404, 'there is nothing at this address');
  if (!methods.includes(asked.method ?? ''))
    return refusal(405, `this address has ${methods.join(' and ')} only`);
  return undefined;
}
