using System.Globalization;
using Millrace.Bench.EndToEnd;
using Millrace.Bench.Log;
using Millrace.Bench.Running;
using Millrace.Tests;
using Xunit.Abstractions;

namespace Millrace.Interop.EndToEnd;

/// <summary>Apache Kafka in the embedded log's place, by one line of settings.</summary>
public sealed class KafkaClusterTests(ITestOutputHelper output)
{
    [EngineFact("kafka")]
    public async Task The_same_pipeline_file_runs_on_Apache_Kafka_and_counts_each_event_once_over_kills_of_both()
    {
        var seed = int.TryParse(Environment.GetEnvironmentVariable("MILLRACE_SEED"), out var given) ? given : Environment.TickCount & 0xFFFF;
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"repeat with: ./millrace test --interop endToEnd --seed {seed}"));
        var folder = Directory.CreateTempSubdirectory("millrace-kafka-").FullName;
        Environment.SetEnvironmentVariable("KAFKA_HEAP", "-Xmx512m");
        try
        {
            await using var kafka = new KafkaContender(Repository.Engines!, Path.Combine(folder, "kafka"), LoopbackPorts.Take(2)[0], "Apache Kafka");
            await kafka.StartAsync(CancellationToken.None);
            await using var platform = PlatformProcess.Create(Path.Combine(folder, "millrace"));
            platform.UseBrokers(kafka.Brokers);
            var outcome = await CrashRun.RunAsync(platform, 3, seed, output.WriteLine, CancellationToken.None, async kill =>
            {
                // The cluster goes away once too; clients wait for it.
                if (kill != 2)
                    return;
                await kafka.KillAsync();
                await kafka.StartAsync(CancellationToken.None);
            });
            Assert.True(outcome.Records > 0);
            Assert.True(
                outcome.Differences.Count == 0,
                $"{outcome.Differences.Count} differences after {outcome.Records} records, seed {seed}:\n" + string.Join('\n', outcome.Differences.Take(20)));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
