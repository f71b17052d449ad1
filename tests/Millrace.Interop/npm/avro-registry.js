// Registers a schema, encodes records with avsc and prints them in Confluent's frame as hex; or decodes framed hex lines with the registry's schemas.
// usage: avro-registry.js encode REGISTRY SUBJECT COUNT | avro-registry.js decode REGISTRY < lines
import avro from 'avsc'
import { createInterface } from 'node:readline'

const [mode, registry, subject, count] = process.argv.slice(2)
const headers = { 'content-type': 'application/vnd.schemaregistry.v1+json' }
if (mode === 'encode') {
  const schema = { type: 'record', name: 'Order', namespace: 'shop', fields: [{ name: 'order_id', type: 'int' }, { name: 'amount', type: 'double' },
    { name: 'tags', type: { type: 'array', items: 'string' }, default: [] }] }
  const type = avro.Type.forSchema(schema)
  const answer = await fetch(`${registry}/subjects/${subject}/versions`, { method: 'POST', headers, body: JSON.stringify({ schema: JSON.stringify(schema) }) })
  const { id } = await answer.json()
  for (let i = 0; i < Number(count); i++) {
    const frame = Buffer.alloc(5)
    frame.writeInt32BE(id, 1)
    console.log(Buffer.concat([frame, type.toBuffer({ order_id: i, amount: i / 4, tags: ['t' + i] })]).toString('hex'))
  }
} else {
  const types = new Map()
  for await (const line of createInterface({ input: process.stdin })) {
    const record = Buffer.from(line, 'hex')
    const id = record.readInt32BE(1)
    if (!types.has(id)) {
      const answer = await fetch(`${registry}/schemas/ids/${id}`)
      types.set(id, avro.Type.forSchema(JSON.parse((await answer.json()).schema)))
    }
    console.log(JSON.stringify(types.get(id).fromBuffer(record.subarray(5))))
  }
}
