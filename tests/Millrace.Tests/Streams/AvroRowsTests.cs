using System.Globalization;
using System.Net;
using System.Text;
using System.Text.Json;
using Millrace.Bench.Running;
using Millrace.Columnar;
using Millrace.Kafka.Clients;
using Millrace.Streams.Plans;
using Millrace.Streams.Sources;

namespace Millrace.Tests.Streams;

/// <summary>Records of several versions of a subject, read into the columns of one.</summary>
public sealed class AvroRowsTests
{
    private const string Narrow = """{"type":"record","name":"E","fields":[{"name":"id","type":"int"}]}""";
    private const string Wide = """{"type":"record","name":"E","fields":[{"name":"id","type":"long"},{"name":"page","type":"string","default":""}]}""";
    private const string Other = """{"type":"record","name":"E","fields":[{"name":"id","type":"string"}]}""";

    private static readonly byte[] WideRecord = [0, 0, 0, 0, 2, 6, 4, (byte)'/', (byte)'a'];

    [Fact]
    public void A_record_that_the_columns_do_not_hold_waits_as_long_as_they_are_not_the_newest_versions()
    {
        using var registry = new Registry(Narrow);
        using var rows = Rows(registry, waits: true, new Field("id", DataType.Int32));
        Assert.True(rows.TryDecode([0, 0, 0, 0, 1, 2], out _));
        registry.Versions.Add(Wide);
        Assert.False(rows.TryDecode(WideRecord, out var fault));
        Assert.Equal(RowFault.SchemaDoesNotFit, fault.Rule);
        Assert.Contains("schema 2 has fields that the columns do not hold", fault.Reason, StringComparison.Ordinal);
        Assert.True(rows.TryDecode([0, 0, 0, 0, 1, 4], out _));
    }

    [Fact]
    public void Also_when_the_version_was_registered_before_the_source_started()
    {
        using var registry = new Registry(Narrow, Wide);
        using var rows = Rows(registry, waits: true, new Field("id", DataType.Int32));
        Assert.False(rows.TryDecode(WideRecord, out var fault));
        Assert.True(RowFault.MayPass(fault.Rule));
        using var follower = Rows(registry, waits: true, new Field("id", DataType.Int64), new Field("page", DataType.Utf8));
        Assert.True(follower.TryDecode(WideRecord, out _));
        Assert.True(follower.TryDecode([0, 0, 0, 0, 1, 2], out _));
    }

    [Fact]
    public void Also_when_the_registry_was_not_there_when_the_plan_was_made()
    {
        using var registry = new Registry(Narrow, Wide);
        using var rows = Rows(registry, waits: true, isKnown: false, new Field("id", DataType.Int32));
        Assert.False(rows.TryDecode(WideRecord, out var fault));
        Assert.Equal(RowFault.SchemaDoesNotFit, fault.Rule);
        Assert.True(rows.TryDecode([0, 0, 0, 0, 1, 2], out _));
    }

    [Fact]
    public void A_newest_version_that_the_columns_cannot_become_stops_no_older_record()
    {
        using var registry = new Registry(Narrow, Wide, Other);
        using var rows = Rows(registry, waits: true, new Field("id", DataType.Int64), new Field("page", DataType.Utf8));
        Assert.True(rows.TryDecode(WideRecord, out _));
        Assert.True(rows.TryDecode([0, 0, 0, 0, 1, 2], out _));
        Assert.False(rows.TryDecode([0, 0, 0, 0, 3, 2, (byte)'x'], out _));
    }

    [Fact]
    public void Declared_columns_take_of_a_newer_record_what_they_hold()
    {
        using var registry = new Registry(Narrow, Wide);
        using var rows = Rows(registry, waits: false, new Field("id", DataType.Int32));
        Assert.True(rows.TryDecode(WideRecord, out _));
    }

    private static AvroRows Rows(Registry registry, bool waits, params Field[] columns) => Rows(registry, waits, isKnown: true, columns);

    private static AvroRows Rows(Registry registry, bool waits, bool isKnown, params Field[] columns)
    {
        var newest = registry.Versions.Count;
        return new AvroRows(
            new SourcePlan
            {
                Name = "e", Topic = "e", Brokers = "none:1", Format = RecordFormat.Avro, Schema = new Schema(columns),
                Avro = new AvroSourcePlan(registry.Address, "e-value", isKnown ? new AvroReaderSchema(newest, registry.Versions[^1], []) : null) { WaitsForColumns = waits },
            },
            ClientLogins.None);
    }

    /// <summary>The two questions that a source asks of a registry; the version's number is its id.</summary>
    private sealed class Registry : IDisposable
    {
        private readonly HttpListener _listener = new();

        public Registry(params string[] versions)
        {
            Versions = [.. versions];
            Address = new Uri($"http://127.0.0.1:{LoopbackPorts.Take(1)[0]}/");
            _listener.Prefixes.Add(Address.ToString());
            _listener.Start();
            _ = AnswerAsync();
        }

        public Uri Address { get; }

        public List<string> Versions { get; }

        public void Dispose() => _listener.Close();

        private async Task AnswerAsync()
        {
            while (_listener.IsListening)
            {
                HttpListenerContext call;
                try
                {
                    call = await _listener.GetContextAsync();
                }
                catch (Exception error) when (error is HttpListenerException or ObjectDisposedException)
                {
                    return;
                }
                var last = call.Request.Url!.Segments[^1];
                var id = last == "latest" ? Versions.Count : int.Parse(last, CultureInfo.InvariantCulture);
                var body = Encoding.UTF8.GetBytes(JsonSerializer.Serialize(new { id, schema = Versions[id - 1] }));
                await call.Response.OutputStream.WriteAsync(body);
                call.Response.Close();
            }
        }
    }
}
