/** An exposed heap over real sockets: who reaches it, what it answers, and what comes of requests that are none. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { type RequestOptions, request } from 'node:http';
import { connect as connectTo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { connect, type Exposed, expose, LiveError } from '@modslab/cli/expose';
import { Heap } from 'modslab';
import { listSockets, socketsMissing } from '#src/live/sockets.js';

const skip = socketsMissing() ?? false;

interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: string;
}

function ask(options: RequestOptions, body?: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request(options, (answer) => {
      let text = '';
      answer.setEncoding('latin1').on('data', (chunk: string) => {
        text += chunk;
      });
      answer.on('end', () =>
        resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: text }),
      );
    });
    asked.on('error', reject).end(body);
  });
}

/** Sends bytes as they are; all that comes back. */
function sendRaw(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = connectTo(port, '127.0.0.1', () => socket.write(text));
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      answer += chunk;
    });
    socket.on('close', () => resolve(answer)).on('error', () => resolve(answer));
    socket.setTimeout(20_000, () => reject(new Error('neither an answer nor an end')));
  });
}

describe('expose', { skip }, () => {
  let runtime: string;
  let heap: Heap;
  const open: Exposed[] = [];

  before(() => {
    runtime = mkdtempSync(join(tmpdir(), 'modslab-run-'));
    process.env.XDG_RUNTIME_DIR = runtime;
    heap = Heap.create({ size: 2 ** 20, maxSize: 2 ** 24 });
    heap.kmalloc(100);
  });
  beforeEach(async () => {
    for (const exposed of open.splice(0)) await exposed.close();
  });
  after(async () => {
    for (const exposed of open.splice(0)) await exposed.close();
    heap.detach();
    rmSync(runtime, { recursive: true, force: true });
  });

  const exposed = async (options?: Parameters<typeof expose>[1]): Promise<Exposed> => {
    const one = await expose(heap, options);
    open.push(one);
    return one;
  };
  const onLoopback = async (options = {}): Promise<{ port: number; token: string; address: string }> => {
    const { address } = await exposed({ port: 0, ...options });
    const url = new URL(address);
    return { port: Number(url.port), token: url.hash.slice('#token='.length), address };
  };

  describe('on a socket', () => {
    test('is there for its user alone, and gone when it is closed', async () => {
      const { address, close } = await exposed();
      assert.equal(statSync(address).mode & 0o777, 0o600);
      assert.equal(statSync(dirname(address)).mode & 0o777, 0o700);
      assert.deepEqual(listSockets(), [{ pid: process.pid, path: address }]);
      await close();
      assert.equal(existsSync(address), false);
      assert.deepEqual(listSockets(), []);
    });

    test('another user cannot connect', {
      skip:
        (process.getuid?.() !== 0 && 'only root can become another user') ||
        ('Deno' in globalThis && 'Deno runs no child as another user'),
    }, async () => {
      const { address } = await exposed();
      // The folders above must let him through, so that it is the socket's own folder that does not.
      chmodSync(runtime, 0o755);
      const code = `require('node:net').connect(process.argv[1]).on('error', (e) => { console.log(e.code); process.exit() }).on('connect', () => { console.log('connected'); process.exit() })`;
      const { stdout } = spawnSync(process.execPath, ['-e', code, address], {
        uid: 65_534,
        gid: 65_534,
        encoding: 'utf8',
      });
      assert.equal(stdout.trim(), 'EACCES');
    });

    test('a client finds it by path, by process, and alone', async () => {
      const { address } = await exposed({ name: 'mine' });
      for (const target of [address, String(process.pid), undefined]) {
        const live = await connect(target);
        assert.equal(live.info.name, 'mine');
        assert.equal(live.info.pid, process.pid);
        const copy = Heap.restore(await live.snapshot());
        assert.equal(copy.meminfo().live, heap.meminfo().live);
        copy.detach();
        live.close();
      }
    });

    test('of several heaps one must be named', async () => {
      await exposed();
      await exposed();
      await assert.rejects(
        connect(),
        (error: Error) =>
          error instanceof LiveError && /name one: .*-0[.]sock .*-1[.]sock/.test(error.message),
      );
    });

    test('nothing is exposed: the message says what to do', async () => {
      await assert.rejects(connect(), /must call expose\(heap\)/);
      await assert.rejects(connect('99999999'), /process 99999999 exposes no heap/);
      await assert.rejects(connect(join(runtime, 'none.sock')), /no such socket/);
    });

    test('a folder that is open to others, or is a link, is refused', async () => {
      const folder = join(runtime, 'open');
      mkdirSync(folder, { mode: 0o755 });
      chmodSync(folder, 0o755);
      await assert.rejects(expose(heap, { socket: join(folder, 'x.sock') }), /open to others \(mode 0755\)/);
      const link = join(runtime, 'link');
      symlinkSync(folder, link);
      await assert.rejects(expose(heap, { socket: join(link, 'x.sock') }), /not a folder of this user/);
      await assert.rejects(expose(heap, { socket: join(runtime, 'x'.repeat(120)) }), RangeError);
    });

    test('sockets of dead processes are not listed, and removed', async () => {
      const { address } = await exposed();
      const dead = join(dirname(address), '99999999-0.sock');
      writeFileSync(dead, '');
      assert.equal(listSockets().length, 1);
      assert.equal(existsSync(dead), false);
    });
  });

  describe('on loopback', () => {
    test('a client with the token gets a snapshot', async () => {
      const { address } = await onLoopback();
      const live = await connect(address);
      const copy = Heap.restore(await live.snapshot());
      assert.equal(copy.meminfo().live, heap.meminfo().live);
      const groups = (await live.leaks()) as { count: number }[];
      assert.deepEqual(
        groups.map(({ count }) => count),
        [1],
      );
      copy.detach();
      live.close();
    });

    test('tokens are random, and long', async () => {
      const [a, b] = [await onLoopback(), await onLoopback()];
      assert.notEqual(a.token, b.token);
      assert.ok(a.token.length >= 32);
    });

    test('it listens on loopback only', async () => {
      const { port } = await onLoopback();
      const hex = port.toString(16).toUpperCase().padStart(4, '0');
      if (!existsSync('/proc/net/tcp')) return;
      const { stdout } = spawnSync('cat', ['/proc/net/tcp', '/proc/net/tcp6'], { encoding: 'utf8' });
      const listening = stdout.split('\n').filter((line) => line.includes(`:${hex} `) && / 0A /.test(line));
      assert.equal(listening.length, 1);
      assert.match(listening[0], /0100007F:/);
    });

    test('without the token, with a wrong one, from elsewhere: refused, and nothing of the heap is said', async () => {
      const { port, token } = await onLoopback();
      const options = { host: '127.0.0.1', port, path: '/v1/snapshot' };
      const cases: [number, Record<string, string>][] = [
        [401, {}],
        [401, { authorization: `Bearer ${token}x` }],
        [401, { authorization: `Bearer ${token.slice(1)}` }],
        [421, { authorization: `Bearer ${token}`, host: 'evil.example' }],
        [421, { authorization: `Bearer ${token}`, host: `evil.example:${port}` }],
        [403, { authorization: `Bearer ${token}`, origin: 'http://evil.example' }],
        [403, { authorization: `Bearer ${token}`, origin: 'null' }],
        [403, { authorization: `Bearer ${token}`, 'sec-fetch-site': 'cross-site' }],
      ];
      for (const [status, headers] of cases) {
        const answer = await ask({ ...options, headers });
        assert.equal(answer.status, status, JSON.stringify(headers));
        assert.ok(answer.body.length < 200);
        assert.equal(answer.headers['access-control-allow-origin'], undefined);
      }
      assert.equal((await ask({ ...options, headers: { authorization: `Bearer ${token}` } })).status, 200);
    });

    test('a token in the query is not looked at', async () => {
      const { port, token } = await onLoopback();
      assert.equal((await ask({ host: '127.0.0.1', port, path: `/v1/info?token=${token}` })).status, 401);
    });

    test('answers may be neither kept, framed nor guessed at', async () => {
      const { port, token } = await onLoopback();
      for (const path of ['/', '/v1/info']) {
        const { headers } = await ask({
          host: '127.0.0.1',
          port,
          path,
          headers: { authorization: `Bearer ${token}` },
        });
        assert.equal(headers['cache-control'], 'no-store');
        assert.match(
          String(headers['content-security-policy']),
          /default-src 'none'.*frame-ancestors 'none'/,
        );
        assert.equal(headers['x-content-type-options'], 'nosniff');
        assert.equal(headers['cross-origin-resource-policy'], 'same-origin');
        assert.equal(headers['referrer-policy'], 'no-referrer');
      }
    });

    test('paths lead nowhere but to what is served', async () => {
      const { port, token } = await onLoopback();
      const paths = [
        '/../package.json',
        '/%2e%2e/package.json',
        '/inspector.js/../../expose.js',
        '//etc/passwd',
        '/v1',
        '/v1/shrink',
        '/v1/trace',
      ];
      for (const path of paths) {
        const answer = await ask({
          host: '127.0.0.1',
          port,
          path,
          headers: { authorization: `Bearer ${token}` },
        });
        assert.equal(answer.status, 404, path);
      }
    });

    test('oversized requests end: address, head, body', async () => {
      const { port, token } = await onLoopback();
      const headers = { authorization: `Bearer ${token}` };
      const base = { host: '127.0.0.1', port, path: '/v1/info' };
      assert.equal((await ask({ ...base, path: `/${'a'.repeat(4000)}`, headers })).status, 414);
      assert.equal(
        (await ask({ ...base, headers: { ...headers, 'x-long': 'a'.repeat(20_000) } })).status,
        431,
      );
      assert.equal(
        (await ask({ ...base, headers: { ...headers, 'content-length': '3' } }, 'abc')).status,
        413,
      );
      assert.equal(
        (await ask({ ...base, method: 'POST', headers }, 'x'.repeat(100_000)).catch(() => ({ status: 413 })))
          .status,
        413,
      );
      assert.equal((await ask({ ...base, headers })).status, 200);
    });

    test('malformed requests end, and the server goes on', async () => {
      const { port, token } = await onLoopback();
      const hostLine = `Host: 127.0.0.1:${port}\r\n`;
      const requests = [
        'hello\r\n\r\n',
        '\x00\x01\x02\x03\r\n\r\n',
        `GET /v1/info HTTP/9.9\r\n${hostLine}\r\n`,
        `GET /v1/info HTTP/1.1\r\n\r\n`,
        `GET /v1/info HTTP/1.1\r\n${hostLine}${hostLine}\r\n`,
        `GET /v1/info HTTP/1.1\r\n${hostLine}Content-Length: x\r\n\r\n`,
        `GET /v1/info HTTP/1.1\r\n${hostLine}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n`,
        `GET /v1/info HTTP/1.1\r\n${hostLine}Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n`,
        `CONNECT evil.example:80 HTTP/1.1\r\n${hostLine}\r\n`,
        `OPTIONS * HTTP/1.1\r\n${hostLine}\r\n`,
        `GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n`,
      ];
      for (const text of requests)
        assert.doesNotMatch(await sendRaw(port, text), /HTTP\/1.1 200/, JSON.stringify(text));
      const answer = await ask({
        host: '127.0.0.1',
        port,
        path: '/v1/info',
        headers: { authorization: `Bearer ${token}` },
      });
      assert.equal(answer.status, 200);
    });

    test('nothing can be changed unless that was asked for', async () => {
      const read = await onLoopback();
      const write = await onLoopback({ writable: true });
      const shrink = (at: typeof read, method: string) =>
        ask({
          host: '127.0.0.1',
          port: at.port,
          path: '/v1/shrink',
          method,
          headers: { authorization: `Bearer ${at.token}` },
        });
      assert.equal((await shrink(read, 'POST')).status, 404);
      assert.equal((await shrink(write, 'GET')).status, 405);
      assert.equal((await shrink(write, 'POST')).status, 200);
      const live = await connect(write.address);
      assert.equal(typeof (await live.shrink()), 'number');
      live.close();
      const other = await connect(read.address);
      await assert.rejects(other.shrink(), /nothing at this address/);
      other.close();
    });

    test('a client refuses what is not on this machine, or has no token', async () => {
      await assert.rejects(connect('http://example.com:80/#token=a'), /on this machine only/);
      await assert.rejects(connect('https://127.0.0.1/#token=a'), /on this machine only/);
      await assert.rejects(connect('http://127.0.0.1:1/'), /no token/);
      await assert.rejects(connect('http://127.0.0.1:1/#token=a'), /nobody listens/);
    });

    test('a heap that was detached says so', async () => {
      const other = Heap.create({ size: 2 ** 20, shared: false });
      const one = await expose(other, { port: 0 });
      open.push(one);
      other.detach();
      const live = await connect(one.address);
      await assert.rejects(live.snapshot(), /detached/);
      live.close();
    });
  });

  test('options that cannot be meant are refused before anything is served', async () => {
    await assert.rejects(expose(heap, { port: 0, socket: '/x' }), /not both/);
    await assert.rejects(expose(heap, { port: 65_536 }), RangeError);
    await assert.rejects(expose(heap, { port: 1.5 }), RangeError);
    await assert.rejects(expose(heap, { socket: '' }), TypeError);
    for (const odd of [5, null, {}] as unknown[])
      await assert.rejects(expose(odd as Heap), /TypeError: expose: the first argument is a heap/);
    for (const odd of [5, null] as unknown[])
      await assert.rejects(expose(heap, odd as object), /TypeError: expose: the options are an object/);
    assert.deepEqual(listSockets(), []);
  });

  test('a program that exposes its heap ends when it has nothing else to do, and leaves no socket', {
    skip: 'Deno' in globalThis && 'Deno takes no module on its command line',
  }, () => {
    const code = `import { Heap } from 'modslab'; import { expose } from '@modslab/cli/expose';
      const { address } = await expose(Heap.create({ size: 2 ** 20 })); console.log(address);`;
    const ran = spawnSync(process.execPath, ['--input-type=module', '-e', code], {
      cwd: import.meta.dirname,
      encoding: 'utf8',
      timeout: 30_000,
    });
    assert.equal(ran.status, 0, ran.stderr);
    assert.equal(existsSync(ran.stdout.trim()), false);
  });
});
