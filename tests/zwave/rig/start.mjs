// Starts the rig as a child, for the programs that look after it.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { Client } from './client.mjs'

const root = mkdtempSync(join(tmpdir(), 'zwave-rig-'))
process.on('exit', () => rmSync(root, { recursive: true, force: true }))

/** An empty directory that goes away with this program. */
export const directory = () => mkdtempSync(join(root, 'cache-'))

/** A rig of one's own, as a test starts it. */
export class Rig {
  static async start(cache, ...args) {
    const rig = new Rig()
    const script = join(import.meta.dirname, 'rig.mjs')
    rig.child = spawn(process.execPath, [script, '--cache', cache, ...args], {
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    rig.log = []
    createInterface(rig.child.stderr).on('line', (line) => rig.log.push(line))
    const [line] = await once(createInterface(rig.child.stdout), 'line')
    Object.assign(rig, JSON.parse(line))
    return rig
  }

  async call(method, path, body) {
    const response = await fetch(`http://127.0.0.1:${this.control}${path}`, {
      method,
      body: body && JSON.stringify(body),
      signal: AbortSignal.timeout(120_000),
    })
    const told = await response.json()
    if (!response.ok) throw new Error(`${method} ${path}: ${told.error}`)
    return told
  }

  get = (path) => this.call('GET', path)
  post = (path, body) => this.call('POST', path, body)
  codes = (id) => this.get(`/nodes/${id}/codes`)
  fault = (id, kind, more) => this.post(`/nodes/${id}/fault`, { kind, ...more })
  connect = () => Client.connect(this.server)

  async end() {
    this.child.stdin.end()
    await once(this.child, 'exit')
  }
}
