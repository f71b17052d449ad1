// Sends values through a topic and gives what comes back, by kafkajs.

export async function through(kafkajs, brokers) {
  const kafka = new kafkajs.Kafka({ brokers: [brokers], logLevel: kafkajs.logLevel.NOTHING })
  const [admin, producer] = [kafka.admin(), kafka.producer()]
  await Promise.all([admin.connect(), producer.connect()])
  const log = async (topic, value, headers) => {
    await admin.createTopics({ topics: [{ topic, numPartitions: 1 }] })
    const [{ baseOffset }] = await producer.send({ topic, messages: [{ value, headers }] })
    const consumer = kafka.consumer({ groupId: `${topic}-${baseOffset}`, minBytes: 1 })
    await consumer.connect()
    await consumer.subscribe({ topic, fromBeginning: true })
    const message = await new Promise((resolve) => consumer.run({
      eachMessage: async ({ message }) => { if (message.offset === baseOffset) resolve(message) },
    }))
    await consumer.disconnect()
    return headers ? message : message.value
  }
  log.end = () => Promise.all([admin.disconnect(), producer.disconnect()])
  return log
}
