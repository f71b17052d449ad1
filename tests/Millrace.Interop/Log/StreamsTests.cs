using System.Buffers.Binary;
using System.Text;
using Millrace.Kafka.Records;
using Millrace.Tests;
using Millrace.Tests.Log;

namespace Millrace.Interop.Log;

/// <summary>A Kafka Streams program with <c>exactly_once_v2</c>: repartition topic, state store, changelog, transactions.</summary>
public sealed class StreamsTests
{
    [EngineFact("kafka")]
    public async Task Words_are_counted_exactly_though_the_program_is_killed()
    {
        await using var test = await TestBroker.StartAsync();
        test.Broker.CreateTopic("lines", 2, new Dictionary<string, string> { ["retention.ms"] = "-1" });
        test.Broker.CreateTopic("counts", 2, new Dictionary<string, string> { ["retention.ms"] = "-1" });
        var state = Directory.CreateTempSubdirectory("millrace-streams-").FullName;
        try
        {
            var sent = 0;
            await using (var killed = Start(test, state))
            {
                await killed.Until(() => killed.Lines.Contains("state RUNNING"), "it runs");
                sent += Send(test, sent, 300);
                await killed.Until(() => Counts(test).Values.Sum() > 300, "it counts");
                sent += Send(test, sent, 300);
                await killed.KillAsync();
            }
            sent += Send(test, sent, 100);
            await using var second = Start(test, state);
            await second.Until(() => Counts(test).Values.Sum() >= sent * 3, "all words are counted");
            sent += Send(test, sent, 100);
            await second.Until(() => Counts(test).Values.Sum() >= sent * 3, "all words are counted");
            await second.StopAsync();
            var expected = new Dictionary<string, long>();
            for (var i = 0; i < sent; i++)
            {
                foreach (var word in Line(i).Split(' '))
                    expected[word] = expected.GetValueOrDefault(word) + 1;
            }
            Assert.Equal(expected.OrderBy(e => e.Key), Counts(test).OrderBy(e => e.Key));
            var topics = test.Broker.Topics().Select(t => t.Name).ToArray();
            Assert.Contains("wordcount-store-changelog", topics);
            Assert.Contains("wordcount-store-repartition", topics);
        }
        finally
        {
            Directory.Delete(state, recursive: true);
        }
    }

    private static JavaProgram Start(TestBroker test, string state) => JavaProgram.Start("WordCount", test.Broker.BootstrapServers, state);

    private static string Line(int i) => $"w{i % 7} w{i % 11} all";

    private static int Send(TestBroker test, int from, int count)
    {
        using var client = test.Connect();
        for (var i = from; i < from + count; i++)
            client.Produce("lines", i % 2, WireClient.Batch(Line(i)));
        return count;
    }

    /// <summary>The newest committed count of each word.</summary>
    private static Dictionary<string, long> Counts(TestBroker test)
    {
        var counts = new Dictionary<string, long>();
        using var client = test.Connect();
        for (var partition = 0; partition < 2; partition++)
        {
            client.WalkCommitted("counts", partition, bytes =>
            {
                var batch = new RecordBatch(bytes);
                using var open = RecordBatch.OpenRecords(bytes, 1 << 24);
                var reader = new RecordReader(open.Bytes, batch.RecordCount);
                while (reader.MoveNext())
                    counts[Encoding.UTF8.GetString(reader.Current.Key)] = BinaryPrimitives.ReadInt64BigEndian(reader.Current.Value);
            });
        }
        return counts;
    }
}
