using Millrace.Tests;
using Millrace.Tests.Log;

namespace Millrace.Interop.Log;

/// <summary>Apache Spark's Kafka source.</summary>
public sealed class SparkTests
{
    private static readonly string[] Opens =
    [
        "java.lang", "java.lang.invoke", "java.lang.reflect", "java.io", "java.net", "java.nio", "java.util", "java.util.concurrent",
        "java.util.concurrent.atomic", "sun.nio.ch", "sun.nio.cs", "sun.security.action", "sun.util.calendar",
    ];

    [EngineFact("spark")]
    public async Task Two_streaming_queries_at_once_read_every_record_once()
    {
        await using var test = await TestBroker.StartAsync();
        test.Broker.CreateTopic("t", 3, new Dictionary<string, string> { ["retention.ms"] = "-1" });
        using (var client = test.Connect())
        {
            // Batches of several records: Spark reads from and to offsets inside them.
            for (var i = 0; i < 60; i++)
                client.Produce("t", i % 3, WireClient.Batch([.. Enumerable.Range(0, 5).Select(n => $"{i}:{n}")]));
        }
        var work = Directory.CreateTempSubdirectory("millrace-spark-").FullName;
        try
        {
            var spark = Path.Combine(Repository.Engines!, "spark");
            var output = await Programs.RunAsync("java", null,
            [
                "-Xmx1g", .. Opens.Select(o => $"--add-opens=java.base/{o}=ALL-UNNAMED"), "-Djdk.reflect.useDirectMethodHandle=false",
                "-Dio.netty.tryReflectionSetAccessible=true", "-Djava.net.preferIPv4Stack=true",
                $"-Dlog4j2.configurationFile={spark}/conf/log4j2.properties", "-cp", $"{spark}/conf:{spark}/jars/*",
                Path.Combine(Repository.Root, "tests/Millrace.Interop/Log/Java/SparkReader.java"), test.Broker.BootstrapServers, "t", work,
            ]);
            Assert.Contains("one 300 300", output, StringComparison.Ordinal);
            Assert.Contains("two 300 300", output, StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(work, recursive: true);
        }
    }
}
