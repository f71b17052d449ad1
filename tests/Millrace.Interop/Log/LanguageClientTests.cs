using System.Text.Json;
using Millrace.Interop.Iceberg;
using Millrace.Tests;
using Millrace.Tests.Log;

namespace Millrace.Interop.Log;

/// <summary>Clients of other languages: kafkajs, and Debian's kafka-python and confluent-kafka.</summary>
public sealed class LanguageClientTests
{
    [NpmFact("kafkajs")]
    public async Task Kafkajs_administers_produces_reads_in_groups_and_makes_transactions()
    {
        await using var test = await TestBroker.StartAsync();
        var told = Told(ForeignProgram.Node("kafka-client.js", test.Broker.BootstrapServers));
        Assert.Equal("""["js","out"]""", told["topics"]);
        Assert.Equal(("3", "\"123456\""), (told["partitions"], told["retention"]));
        Assert.Equal(("100", "100"), (told["read"], told["committed"]));
        Assert.Equal("""["js-group"]""", told["groups"]);
        Assert.Equal("""["committed","committed"]""", told["transactions"]);
        Assert.Equal("\"1\"", told["sent offset"]);
        Assert.Equal("""["out"]""", told["left"]);
    }

    [PythonFact("kafka")]
    public async Task Kafka_python_administers_produces_and_reads_in_groups()
    {
        await using var test = await TestBroker.StartAsync();
        var told = await PythonAsync("kafka_python.py", test.Broker.BootstrapServers);
        Assert.Equal("""["py"]""", told["topics"]);
        Assert.Equal("""["cleanup.policy", "delete"]""", told["config"]);
        Assert.Equal(("true", "true"), (told["sent None"], told["sent gzip"]));
        Assert.Equal(("100", "100", "100"), (told["read"], told["ends"], told["committed"]));
        Assert.Equal("""["py-group"]""", told["groups"]);
        Assert.Equal("[]", told["left"]);
    }

    [PythonFact("confluent_kafka")]
    public async Task Confluent_kafka_for_python_uses_every_codec_groups_and_transactions()
    {
        await using var test = await TestBroker.StartAsync();
        var told = await PythonAsync("confluent_kafka_client.py", test.Broker.BootstrapServers);
        Assert.All(["none", "gzip", "snappy", "lz4", "zstd"], codec => Assert.Equal("0", told["unsent " + codec]));
        Assert.Equal(("100", "100"), (told["read"], told["committed"]));
        Assert.Equal("1", told["sent offset"]);
        Assert.Equal("""["committed", "committed"]""", told["transactions"]);
        Assert.Equal("""["cf-out"]""", told["left"]);
    }

    private static async Task<Dictionary<string, string>> PythonAsync(string script, string servers) => Told(Programs.Lines(await Programs.RunAsync(
        PythonFactAttribute.Python, null, Path.Combine(Repository.Root, "tests/Millrace.Interop/Log/Python", script), servers)));

    private static Dictionary<string, string> Told(IEnumerable<string> lines) => lines.Select(line => JsonDocument.Parse(line).RootElement)
        .ToDictionary(e => e.GetProperty("name").GetString()!, e => e.GetProperty("value").GetRawText());
}

/// <summary>A fact that needs a module of the system's Python; skipped by name where it is absent.</summary>
internal sealed class PythonFactAttribute : FactAttribute
{
    /// <summary>The distribution's own, which has the distribution's packages.</summary>
    public const string Python = "/usr/bin/python3";

    public PythonFactAttribute(string module)
    {
        if (!Directory.Exists("/usr/lib/python3/dist-packages/" + module))
            Skip = $"needs the distribution's python3 module {module}";
    }
}
