// Prints the rows of an Iceberg table that lies in a folder, one line a row, columns in the order of the schema.
// usage: node read-iceberg.js FOLDER
import { readFile, stat } from 'node:fs/promises'

// icebird fetches by URL; plain paths are served from the disk here, ranges included.
globalThis.fetch = async (url, init = {}) => {
  const path = String(url)
  const headers = new Headers(init.headers)
  try {
    if (init.method === 'HEAD') {
      const { size } = await stat(path)
      return new Response(null, { status: 200, headers: { 'content-length': String(size) } })
    }
    const content = await readFile(path)
    const range = /bytes=(\d*)-(\d*)/.exec(headers.get('range') ?? '')
    if (!range) return new Response(content, { status: 200 })
    const from = range[1] === '' ? content.length - Number(range[2]) : Number(range[1])
    const to = range[1] === '' || range[2] === '' ? content.length : Number(range[2]) + 1
    return new Response(content.subarray(from, to), { status: 206 })
  } catch (error) {
    if (error.code === 'ENOENT') return new Response('missing', { status: 404 })
    throw error
  }
}

const { icebergMetadata, icebergRead } = await import('icebird')
const tableUrl = process.argv[2]
const metadata = await icebergMetadata({ tableUrl })
const schema = metadata.schemas.find(s => s['schema-id'] === metadata['current-schema-id'])
const rows = await icebergRead({ tableUrl, metadata })

function text(value, type) {
  if (value === null || value === undefined) return 'null'
  if (value instanceof Date) return String(BigInt(value.getTime()) * 1000n)
  if (type === 'double' || type === 'float') return Number.isNaN(value) ? 'nan' : value.toFixed(6)
  return String(value)
}

for (const row of rows) console.log(schema.fields.map(f => text(row[f.name], f.type)).join('|'))
