// The real server over the real driver, a process of its own that can be killed.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createServer } from 'node:net'
import { dirname, join, resolve } from 'node:path'
import { setTimeout as pass } from 'node:timers/promises'
import { Client } from './client.mjs'

const HERE = import.meta.dirname
const PACKAGE = dirname(createRequire(import.meta.url).resolve('@zwave-js/server/package.json'))
// Seconds. It is there for a server that never comes, on a machine however busy.
const PATIENCE = 300

// A port that is free now. The server cannot choose one itself, and keeps it when it is started again.
export const freePort = async () => {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address()
  await once(probe.close(), 'close')
  return port
}

export class Server {
  #child
  #args
  port

  constructor({ port, serialPath, cache, securityKeys, queryAllUserCodes, reportTimeout }) {
    this.port = port
    mkdirSync(cache, { recursive: true })
    const config = resolve(cache, 'server.json')
    writeFileSync(
      config,
      JSON.stringify({
        storage: { cacheDir: resolve(cache) },
        interview: { queryAllUserCodes },
        timeouts: { report: reportTimeout },
        securityKeys,
        logConfig: {
          enabled: true,
          level: process.env.ZWAVE_LOG ?? 'warn',
          showLogo: false,
          forceConsole: true,
        },
      }),
    )
    this.#args = [
      ['--import', join(HERE, 'leash.mjs')],
      join(PACKAGE, 'dist-esm/bin/server.js'),
      serialPath,
      ['--config', config, '--port', String(port), '--host', '127.0.0.1', '--disable-dns-sd', '--reconnect'],
    ].flat()
  }

  get pid() {
    return this.#child?.pid
  }

  /** Starts it, and waits until all nodes are ready unless told not to. */
  async start(wait = true) {
    if (this.#child) return
    const child = spawn(process.execPath, this.#args, { stdio: ['pipe', 'pipe', 'pipe'] })
    this.#child = child
    child.stdout.pipe(process.stderr, { end: false })
    child.stderr.pipe(process.stderr, { end: false })
    child.on('exit', (code, signal) => {
      console.error(`server ended: ${signal ?? code}`)
      if (this.#child === child) this.#child = undefined
    })
    if (wait) await this.ready()
  }

  /** Ends it at once, as a power cut would. Done when the process is gone. */
  async kill() {
    const child = this.#child
    if (!child) return
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }

  /** Stops the process without ending it: its sockets stay open and say nothing. */
  freeze() {
    this.#child?.kill('SIGSTOP')
  }

  thaw() {
    this.#child?.kill('SIGCONT')
  }

  async ready() {
    const deadline = Date.now() + PATIENCE * 1000
    while (this.#child) {
      if (Date.now() > deadline) throw new Error(`the server was not ready within ${PATIENCE} s`)
      const client = await Client.connect(this.port).catch(() => undefined)
      if (!client) {
        await pass(50)
        continue
      }
      const { driver } = await client.listen()
      if (!driver.allNodesReady) await client.event((each) => each.event === 'all nodes ready', 0, PATIENCE)
      await client.close()
      return
    }
    throw new Error('the server ended before it was ready')
  }
}
