// The stick's serial port, over TCP, which can be pulled out and put back.

import { createServer } from 'node:net'
import { once } from 'node:events'

const START_OF_FRAME = 0x01
const NEGATIVE = 0x15
const NEW_LINE = 0x0a

// Cuts a stream of bytes into the frames that the mock wants one at a time.
class Cutter {
  #rest = Buffer.alloc(0)

  push(bytes) {
    const frames = []
    this.#rest = Buffer.concat([this.#rest, bytes])
    for (;;) {
      const long = this.#rest[0] === START_OF_FRAME
      const length = long ? this.#rest[1] + 2 : 1
      // NaN while the byte with the length is still to come.
      if (!(length <= this.#rest.length)) return frames
      frames.push(this.#rest.subarray(0, length))
      this.#rest = this.#rest.subarray(length)
    }
  }
}

export class SerialPort {
  #feed
  #socket
  #listener
  #port = 0

  /** What the driver sends, a frame at a time. It waits here until someone reads. */
  readable = new ReadableStream({ start: (feed) => (this.#feed = feed) })
  /** Called when a driver opens the port, and when it is gone: what was under way with the last one is off. */
  onChange = () => {}

  get path() {
    return `tcp://127.0.0.1:${this.#port}`
  }

  get plugged() {
    return this.#listener !== undefined
  }

  get open() {
    return this.#socket !== undefined
  }

  async plug() {
    if (this.plugged) return
    this.#listener = createServer((socket) => this.#opened(socket)).listen(this.#port, '127.0.0.1')
    await once(this.#listener, 'listening')
    this.#port = this.#listener.address().port
  }

  async unplug() {
    if (!this.plugged) return
    const listener = this.#listener
    this.#listener = undefined
    listener.close()
    this.#socket?.destroy()
    await once(listener, 'close')
  }

  /** To the driver. */
  emitData(data) {
    if (this.#socket) this.#socket.write(data)
    // The mock is about to wait for an acknowledgement.
    else queueMicrotask(() => this.onChange())
  }

  #opened(socket) {
    this.#socket?.destroy()
    this.#socket = socket
    socket.setNoDelay()
    this.onChange()
    const cutter = new Cutter()
    socket.on('data', (bytes) => {
      for (const frame of cutter.push(bytes)) this.#heard(frame)
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      if (this.#socket !== socket) return
      this.#socket = undefined
      this.onChange()
    })
  }

  #heard(frame) {
    switch (frame[0]) {
      // The driver asks so whether this is a stick at all. Real ones are silent, and it waits for half
      // a second; told the same, it tries a new line, and is content when nothing comes of that.
      case NEGATIVE:
        this.emitData(frame)
        break
      case NEW_LINE:
        break
      default:
        this.#feed.enqueue(new Uint8Array(frame))
    }
  }
}
