/** Who may ask an exposed heap for what: every line of the guard's table, without a socket. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Access, type Asked, isToken, refuse, URL_MAX } from '#src/live/guard.js';

const access: Access = { hosts: ['127.0.0.1:4711', 'localhost:4711'], token: 'right' };

function asked(headers: Record<string, string> = {}, more: Partial<Asked> = {}): Asked {
  const all = { host: '127.0.0.1:4711', authorization: 'Bearer right', ...headers };
  return { method: 'GET', url: '/v1/info', headers: all, rawHeaders: Object.entries(all).flat(), ...more };
}

const status = (
  request: Asked,
  methods: string[] | undefined = ['GET', 'HEAD'],
  isPublic = false,
  who = access,
) => refuse(request, who, methods, isPublic)?.status;

describe('guard', () => {
  test('a request that is as it should be passes', () => {
    assert.equal(status(asked()), undefined);
    assert.equal(status(asked({ host: 'LOCALHOST:4711' })), undefined);
    assert.equal(
      status(asked({ origin: 'http://127.0.0.1:4711', 'sec-fetch-site': 'same-origin' })),
      undefined,
    );
    assert.equal(status(asked({ 'sec-fetch-site': 'none' })), undefined);
  });

  test('another Host: 421, even with the token', () => {
    for (const host of ['evil.example', '127.0.0.1', '127.0.0.1:4712', '', 'localhost:4711.evil.example'])
      assert.equal(status(asked({ host })), 421, host);
    assert.equal(status(asked({}, { headers: {}, rawHeaders: [] })), 421);
    const twice = asked();
    assert.equal(status({ ...twice, rawHeaders: [...twice.rawHeaders, 'HOST', 'evil.example'] }), 421);
  });

  test('a page of another origin or site: 403, even with the token', () => {
    for (const origin of [
      'http://evil.example',
      'null',
      'https://127.0.0.1:4711',
      'http://localhost:4711',
      'http://127.0.0.1:80',
    ])
      assert.equal(status(asked({ origin })), 403, origin);
    for (const site of ['cross-site', 'same-site', 'anything'])
      assert.equal(status(asked({ 'sec-fetch-site': site })), 403, site);
  });

  test('no token, or a wrong one: 401', () => {
    for (const authorization of [
      '',
      'Bearer',
      'Bearer ',
      'Bearer wrong',
      'Bearer right ',
      'bearer right',
      'Basic right',
      `Bearer ${'x'.repeat(300)}`,
    ])
      assert.equal(status(asked({ authorization })), 401, authorization);
    assert.equal(isToken('right', 'right'), true);
    assert.equal(isToken('righ', 'right'), false);
    assert.equal(isToken('', 'right'), false);
  });

  test('what is there is said only to those who may know: 401 before 404 and 405', () => {
    assert.equal(status(asked({ authorization: 'Bearer wrong' }), undefined), 401);
    assert.equal(status(asked({ authorization: 'Bearer wrong' }, { method: 'PUT' })), 401);
    assert.equal(status(asked(), undefined), undefined);
    assert.equal(refuse(asked(), access, undefined, false)?.status, 404);
  });

  test('other methods: 405', () => {
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'TRACE', 'get', ''])
      assert.equal(status(asked({}, { method })), 405, method);
    assert.equal(status(asked({}, { method: 'GET' }), ['POST']), 405);
  });

  test('a body: 413; too long an address: 414', () => {
    assert.equal(status(asked({ 'content-length': '1' })), 413);
    assert.equal(status(asked({ 'transfer-encoding': 'chunked' })), 413);
    assert.equal(status(asked({ 'content-length': '0' })), undefined);
    assert.equal(status(asked({}, { url: `/${'a'.repeat(URL_MAX)}` })), 414);
  });

  test('the page itself needs no token, but the right Host and origin', () => {
    const bare = { authorization: '' };
    assert.equal(status(asked(bare), ['GET'], true), undefined);
    assert.equal(status(asked({ ...bare, host: 'evil.example' }), ['GET'], true), 421);
    assert.equal(status(asked({ ...bare, origin: 'http://evil.example' }), ['GET'], true), 403);
  });

  test('a socket has no token, and still refuses pages', () => {
    const socket: Access = { hosts: ['localhost'], token: undefined };
    const request = (headers: Record<string, string>): Asked =>
      asked({ host: 'localhost', authorization: '', ...headers });
    assert.equal(status(request({}), ['GET'], false, socket), undefined);
    assert.equal(status(request({ origin: 'http://evil.example' }), ['GET'], false, socket), 403);
  });
});
