// Drives the log through kafkajs and writes one line of JSON for each thing that it found. usage: kafka-client.js HOST:PORT
import kafkajs from 'kafkajs';
const { Kafka, logLevel, CompressionTypes, ConfigResourceTypes } = kafkajs;
const kafka = new Kafka({ brokers: [process.argv[2]], clientId: 'kafkajs', logLevel: logLevel.NOTHING });
const tell = (name, value) => console.log(JSON.stringify({ name, value }));

const admin = kafka.admin();
await admin.connect();
await admin.createTopics({ topics: [{ topic: 'js', numPartitions: 3, configEntries: [{ name: 'retention.ms', value: '123456' }] }, { topic: 'out', numPartitions: 1 }] });
tell('topics', (await admin.listTopics()).filter((t) => !t.startsWith('__')).sort());
tell('partitions', (await admin.fetchTopicMetadata({ topics: ['js'] })).topics[0].partitions.length);
const described = await admin.describeConfigs({ includeSynonyms: false, resources: [{ type: ConfigResourceTypes.TOPIC, name: 'js' }] });
tell('retention', described.resources[0].configEntries.find((e) => e.configName === 'retention.ms').configValue);

const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 });
await producer.connect();
for (const compression of [CompressionTypes.None, CompressionTypes.GZIP]) {
  const messages = Array.from({ length: 50 }, (_, i) => ({ key: `k${i % 5}`, value: `${compression}:${i}`, headers: { h: 'x' } }));
  await producer.send({ topic: 'js', messages, compression, acks: -1 });
}
await producer.disconnect();

async function read(groupId, topic, count) {
  const consumer = kafka.consumer({ groupId, sessionTimeout: 6000, heartbeatInterval: 300 });
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  const values = [];
  await new Promise((resolve) => consumer.run({
    eachMessage: async ({ message }) => {
      values.push(message.value.toString());
      if (values.length === count) setTimeout(resolve, 200);
    },
  }));
  await consumer.disconnect();
  return values;
}
tell('read', new Set(await read('js-group', 'js', 100)).size);
tell('committed', (await admin.fetchOffsets({ groupId: 'js-group', topics: ['js'] }))[0].partitions.reduce((sum, p) => sum + Number(p.offset), 0));
tell('groups', (await admin.listGroups()).groups.map((g) => g.groupId));

const transactional = kafka.producer({ transactionalId: 'js-tx', maxInFlightRequests: 1, idempotent: true });
await transactional.connect();
for (const commit of [true, false, true]) {
  const transaction = await transactional.transaction();
  await transaction.send({ topic: 'out', messages: [{ value: commit ? 'committed' : 'aborted' }] });
  await transaction.sendOffsets({ consumerGroupId: 'js-group', topics: [{ topic: 'js', partitions: [{ partition: 0, offset: commit ? '1' : '2' }] }] });
  await (commit ? transaction.commit() : transaction.abort());
}
await transactional.disconnect();
tell('transactions', await read('out-group', 'out', 2));
tell('sent offset', (await admin.fetchOffsets({ groupId: 'js-group', topics: ['js'] }))[0].partitions.find((p) => p.partition === 0).offset);
await admin.deleteGroups(['js-group', 'out-group']);
await admin.deleteTopics({ topics: ['js'] });
tell('left', (await admin.listTopics()).filter((t) => !t.startsWith('__')));
await admin.disconnect();
