using System.Diagnostics;
using System.Globalization;
using System.Text;
using Confluent.Kafka;
using Millrace.Bench.Running;
using Millrace.Kafka.Clients;

namespace Millrace.Interop.EndToEnd;

/// <summary>A fact that needs a file system of its own, which Linux gives to root and, in a user namespace, mostly to everybody.</summary>
internal sealed class SmallDiskFactAttribute : FactAttribute
{
    public SmallDiskFactAttribute()
    {
        using var probe = Process.Start(new ProcessStartInfo("unshare", [.. FullDiskTests.Namespace, "sh", "-c", "mount -t tmpfs tmpfs /mnt"]) { RedirectStandardError = true });
        probe?.WaitForExit();
        if (probe is not { ExitCode: 0 })
            Skip = "needs the right to mount a tmpfs in a user namespace";
    }
}

public sealed class FullDiskTests
{
    internal static readonly string[] Namespace = ["--user", "--map-root-user", "--mount"];

    private const string Pipeline = """
        pipeline: things
        sources:
          things: {from: "kafka:things?time=ts&watermark=1s", schema: {id: bigint, note: varchar, ts: timestamptz}}
        sinks:
          things: iceberg:test.things?commit=1s
        """;

    [SmallDiskFact]
    public async Task A_full_disk_stops_acknowledging_says_so_and_loses_nothing_when_there_is_room_again()
    {
        var folder = Directory.CreateTempSubdirectory("millrace-full-").FullName;
        var data = Path.Combine(folder, "data");
        Directory.CreateDirectory(data);
        try
        {
            await using var platform = PlatformProcess.Create(
                folder, ["unshare", .. Namespace, "sh", "-c", $"mount -t tmpfs -o size=128m tmpfs '{data}' && exec \"$0\" \"$@\""]);
            KafkaLibraries.EnsureReady();
            await platform.StartAsync(CancellationToken.None);
            await platform.DoAsync("topic", "create", "things", "--partitions", "1");
            var file = Path.Combine(folder, "things.yaml");
            await File.WriteAllTextAsync(file, Pipeline);
            await platform.DoAsync("run", file);
            // The mount is seen from outside through the process that made it.
            var filler = $"/proc/{platform.ProcessId}/root{data}/filler";
            using var producer = new ProducerBuilder<Null, byte[]>(
                new ProducerConfig { BootstrapServers = platform.Brokers, EnableIdempotence = true, LingerMs = 5, MessageTimeoutMs = 120_000 }).SetLogHandler((_, _) => { }).Build();
            var acknowledged = new HashSet<long>();
            Send(producer, 0, 2000, acknowledged);
            producer.Flush(TimeSpan.FromSeconds(30));
            Assert.Equal(2000, acknowledged.Count);
            await platform.UntilJobAsync("things", j => j.Committed("iceberg:test.things") == 2000, "the first rows are in the table");

            Fill(filler);
            Send(producer, 2000, 30_000, acknowledged);
            var paused = await platform.UntilJobAsync(
                "things", j => j["state"]!.GetValue<string>() == "paused" || Refused(platform), "the full disk is noticed");
            producer.Flush(TimeSpan.FromSeconds(2));
            Assert.True(acknowledged.Count < 32_000, "a full disk acknowledged everything");
            if (paused["state"]!.GetValue<string>() == "paused")
                Assert.Contains("make room", paused.Reason());

            File.Delete(filler);
            producer.Flush(TimeSpan.FromSeconds(60));
            Assert.Equal(32_000, acknowledged.Count);
            // Told when it began, and not with every append.
            Assert.InRange(platform.Errors.Split("are refused, producers retry").Length - 1, 0, 2);
            await platform.UntilJobAsync(
                "things", j => j["state"]!.GetValue<string>() == "running" && j.Committed("iceberg:test.things") >= 32_000, "the rest is in the table");
            Assert.Equal(
                (32_000L, 32_000L),
                ((await platform.SqlAsync("SELECT count(*), count(DISTINCT id) FROM test.things", CancellationToken.None))[0] is { } row
                    ? (row[0]!.GetValue<long>(), row[1]!.GetValue<long>())
                    : default));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static bool Refused(PlatformProcess platform) => platform.Errors.Contains("are refused, producers retry: No space left", StringComparison.Ordinal);

    private static void Send(IProducer<Null, byte[]> producer, long first, int count, HashSet<long> acknowledged)
    {
        for (var id = first; id < first + count; id++)
        {
            var mine = id;
            var value = string.Create(CultureInfo.InvariantCulture, $"{{\"id\":{id},\"note\":\"{Convert.ToHexString(SHA(id))}\",\"ts\":\"2026-01-01T00:00:00Z\"}}");
            producer.Produce("things", new Message<Null, byte[]> { Value = Encoding.UTF8.GetBytes(value) }, report =>
            {
                if (!report.Error.IsError)
                {
                    lock (acknowledged)
                        acknowledged.Add(mine);
                }
            });
        }
    }

    // Text that does not compress, so that the table needs room too.
    private static byte[] SHA(long id) => System.Security.Cryptography.SHA512.HashData(BitConverter.GetBytes(id));

    private static void Fill(string path)
    {
        using var file = File.Create(path);
        var block = new byte[64 << 10];
        try
        {
            while (true)
            {
                file.Write(block);
                file.Flush();
            }
        }
        catch (IOException)
        {
            // The disk is full, as wanted.
        }
    }
}
