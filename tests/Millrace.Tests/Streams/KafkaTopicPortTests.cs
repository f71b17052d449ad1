using System.Text;
using Confluent.Kafka;
using Confluent.Kafka.Admin;
using Microsoft.Extensions.Logging.Abstractions;
using Millrace.Streams.Running;
using Millrace.Streams.Sinks;

namespace Millrace.Tests.Streams;

public sealed class KafkaTopicPortTests
{
    [Fact]
    public async Task A_row_that_the_topic_finds_too_large_is_a_dead_letter_and_the_rest_of_its_batch_arrives()
    {
        await using var bed = await StreamTestBed.StartAsync();
        var (topic, dead) = (bed.Name + "_small", bed.Name + "_small.dead");
        using (var admin = new AdminClientBuilder(new AdminClientConfig { BootstrapServers = bed.Brokers }).Build())
            await admin.CreateTopicsAsync([new TopicSpecification { Name = topic, NumPartitions = 1, ReplicationFactor = 1, Configs = new() { ["max.message.bytes"] = "2000" } }]);
        using var port = Port(topic, madeWhenSent: false);
        using var letters = Port(dead, madeWhenSent: true);
        var mark = new DeliveryMark("p", "i", 7);
        // Together the small ones pass the topic's limit too: it counts batches.
        var owed = new OwedRecords();
        for (var i = 0; i < 30; i++)
        {
            owed.Begin(default, false, Encoding.UTF8.GetBytes(new string((char)('a' + (i % 26)), i == 12 ? 5000 : 200)), true);
            owed.End();
        }
        var records = owed.Bytes.ToArray();
        Assert.Empty(letters.Scan(mark, new Dictionary<int, long>(), CancellationToken.None));
        var (acknowledged, refused) = (new Dictionary<int, long>(), new List<RefusedRecord>());
        await port.SendAsync(mark, records, new HashSet<int>(), acknowledged, refused, CancellationToken.None);
        var refusal = Assert.Single(refused);
        Assert.Equal((12, topic), (refusal.Sequence, refusal.Topic));
        Assert.Contains("5000 bytes", refusal.Reason, StringComparison.Ordinal);
        Assert.Equal(29, acknowledged[0]);
        Assert.Equal(Enumerable.Range(0, 30).Where(i => i != 12), port.Scan(mark, new Dictionary<int, long>(), CancellationToken.None).Order());
        await letters.SendDeadAsync(mark, records, refused, CancellationToken.None);
        Assert.Equal([12], letters.Scan(mark, new Dictionary<int, long>(), CancellationToken.None));
        var letter = Assert.Single(bed.ReadTopic(dead));
        Assert.Equal((5000, refusal.Reason, topic), (letter.Value!.Length, letter.Header("millrace.reason"), letter.Header("millrace.sink-topic")));

        KafkaTopicPort Port(string name, bool madeWhenSent) =>
            new(bed.Brokers, name, new Dictionary<string, string>(), StreamFailPoints.None, NullLogger.Instance, madeWhenSent);
    }
}
