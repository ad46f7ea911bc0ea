// A raw client of the server: JSON in, JSON out.

import { once } from 'node:events'
import WebSocket from 'ws'

export class Client {
  #socket
  #asked = new Map()
  #waiting = new Set()
  #last = 0
  events = []

  /** Connects and hears what the server says first. */
  static async connect(port) {
    const client = new Client()
    const socket = new WebSocket(`ws://127.0.0.1:${port}`, { maxPayload: 64 * 1024 * 1024 })
    client.#socket = socket
    const hello = new Promise((resolve, reject) => {
      socket.on('message', (data) => {
        const message = JSON.parse(data)
        if (message.type === 'version') resolve(message)
        else client.#heard(message)
      })
      socket.on('error', reject)
      socket.on('close', (code, reason) => reject(new Error(`closed: ${code} ${reason}`)))
    })
    client.closed = new Promise((resolve) => socket.on('close', resolve)).then(() => {
      for (const { reject } of client.#asked.values()) reject(new Error('the server closed the connection'))
      client.#asked.clear()
    })
    client.hello = await hello
    return client
  }

  /** Says hello and takes the dump; events follow from here on. */
  async listen(schemaVersion = Math.min(50, this.hello.maxSchemaVersion)) {
    await this.result('initialize', { schemaVersion })
    return (await this.result('start_listening')).state
  }

  /** Sends a command and answers the whole message of its result. */
  call(command, fields = {}) {
    const messageId = String(++this.#last)
    this.#socket.send(JSON.stringify({ messageId, command, ...fields }))
    return new Promise((resolve, reject) => this.#asked.set(messageId, { resolve, reject }))
  }

  /** Sends a command that must succeed and answers its result. */
  async result(command, fields) {
    const message = await this.call(command, fields)
    if (!message.success) throw new Error(`${command}: ${JSON.stringify(message)}`)
    return message.result
  }

  /** The first event, heard since `from`, that fits. */
  async event(fits, from = 0, seconds = 20) {
    const found = () => this.events.slice(from).find(fits)
    if (found()) return found()
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(look)
        reject(new Error(`no such event within ${seconds} s: ${fits}`))
      }, seconds * 1000)
      const look = () => {
        const event = found()
        if (!event) return
        clearTimeout(timer)
        this.#waiting.delete(look)
        resolve(event)
      }
      this.#waiting.add(look)
    })
  }

  async close() {
    this.#socket.close()
    if (this.#socket.readyState !== WebSocket.CLOSED) await once(this.#socket, 'close')
  }

  #heard(message) {
    if (message.type === 'event') {
      this.events.push(message.event)
      for (const look of [...this.#waiting]) look()
      return
    }
    this.#asked.get(message.messageId)?.resolve(message)
    this.#asked.delete(message.messageId)
  }
}
