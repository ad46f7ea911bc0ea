// Loaded before the server: it ends with the rig, however the rig ended.
process.stdin.on('close', () => process.exit(1)).resume()
