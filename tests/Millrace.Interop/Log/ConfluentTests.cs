using Confluent.Kafka;
using Confluent.Kafka.Admin;
using Millrace.Kafka.Clients;
using Millrace.Tests.Log;
using TopicPartition = Confluent.Kafka.TopicPartition;

namespace Millrace.Interop.Log;

/// <summary>Confluent.Kafka's producer and admin client against the broker.</summary>
public sealed class ConfluentTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    public ConfluentTests() => KafkaLibraries.EnsureReady();

    [Fact]
    public async Task Topics_are_administered_and_written_to()
    {
        await using var test = await TestBroker.StartAsync();
        using var admin = Admin(test.Broker.BootstrapServers);
        await admin.CreateTopicsAsync([new TopicSpecification { Name = "t", NumPartitions = 2, ReplicationFactor = 1, Configs = new() { ["retention.ms"] = "1000000" } }]).WaitAsync(Patience);
        var exists = await Assert.ThrowsAsync<CreateTopicsException>(() => admin.CreateTopicsAsync([new TopicSpecification { Name = "t", NumPartitions = 2 }]));
        Assert.Equal(ErrorCode.TopicAlreadyExists, exists.Results[0].Error.Code);
        await admin.CreatePartitionsAsync([new PartitionsSpecification { Topic = "t", IncreaseTo = 5 }]).WaitAsync(Patience);
        Assert.Equal(5, test.Broker.Topic("t")!.Partitions.Count);
        var resource = new ConfigResource { Type = ResourceType.Topic, Name = "t" };
        await admin.AlterConfigsAsync(new()
        {
            [resource] = [new ConfigEntry { Name = "max.message.bytes", Value = "5000" }, new ConfigEntry { Name = "retention.ms", Value = "2000000" }],
        }).WaitAsync(Patience);
        var configs = (await admin.DescribeConfigsAsync([resource]).WaitAsync(Patience))[0].Entries;
        Assert.Equal(("2000000", "5000", "delete"), (configs["retention.ms"].Value, configs["max.message.bytes"].Value, configs["cleanup.policy"].Value));
        using (var producer = Producer(test.Broker.BootstrapServers))
        {
            for (var i = 0; i < 10; i++)
                await producer.ProduceAsync(new TopicPartition("t", 0), new Message<Null, string> { Value = $"{i}" });
        }
        Assert.Equal(10, test.Broker.Topic("t")!.Partitions[0].EndOffset);
        await admin.DeleteTopicsAsync(["t"]).WaitAsync(Patience);
        Assert.Null(test.Broker.Topic("t"));
    }

    private static IProducer<Null, string> Producer(string brokers) =>
        new ProducerBuilder<Null, string>(new ProducerConfig { BootstrapServers = brokers, EnableIdempotence = true, LingerMs = 1 }).Build();

    private static IAdminClient Admin(string brokers) => new AdminClientBuilder(new AdminClientConfig { BootstrapServers = brokers }).Build();
}
