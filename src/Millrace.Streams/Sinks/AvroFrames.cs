using System.Buffers.Binary;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Millrace.Columnar;
using Millrace.Columnar.Avro;
using Millrace.Schemas;
using Millrace.Streams.Plans;
using Millrace.Streams.Running;

namespace Millrace.Streams.Sinks;

/// <summary>
/// Rows as Avro records in Confluent's frame: a zero byte, the id of their schema, the record. The schema follows from the columns and is registered
/// under the sink's subject before the first row; the registry answers the same id for the same schema, so that a restart changes nothing. For
/// the stream's thread.
/// </summary>
internal sealed class AvroFrames : IDisposable
{
    private readonly AvroSinkPlan _plan;
    private readonly RegistryClient _registry;
    private readonly AvroRowWriter _rows;
    private readonly AvroWriter _bytes = new(1024);
    private int? _id;

    /// <param name="login">How the registry is asked.</param>
    public AvroFrames(AvroSinkPlan plan, Schema schema, IReadOnlyDictionary<string, string> login)
    {
        _plan = plan;
        _rows = new AvroRowWriter(schema, plan.Record);
        _registry = new RegistryClient(plan.Registry, TimeSpan.FromSeconds(10), login);
    }

    /// <summary>One row's frame; valid until the next.</summary>
    /// <exception cref="RegistryUnreachableException">The schema is not registered yet and the registry does not answer.</exception>
    /// <exception cref="PipelineFailedException">The registry refuses the schema.</exception>
    public ReadOnlySpan<byte> Write(ColumnBatch batch, int row)
    {
        var id = _id ??= Register();
        Span<byte> head = stackalloc byte[5];
        head[0] = 0;
        BinaryPrimitives.WriteInt32BigEndian(head[1..], id);
        _bytes.Clear();
        _bytes.WriteFixed(head);
        _rows.Write(batch, row, _bytes);
        return _bytes.Written;
    }

    public void Dispose() => _registry.Dispose();

    private int Register()
    {
        var body = new JsonObject { ["schema"] = _rows.SchemaText }.ToJsonString();
        var (status, text) = _registry.Send("POST", $"/subjects/{Uri.EscapeDataString(_plan.Subject)}/versions", body);
        try
        {
            using var answer = JsonDocument.Parse(text);
            if (status == 200)
                return answer.RootElement.GetProperty("id").GetInt32();
            // Overload and restarts pass; a schema that does not fit stays so.
            if (status >= 500 || status == 429)
                throw new RegistryUnreachableException(string.Create(CultureInfo.InvariantCulture, $"the schema registry at {_registry.Address} answers {status}: {text}"));
            throw new PipelineFailedException(
                $"the schema registry at {_registry.Address} refuses the schema of the rows for subject '{_plan.Subject}': {answer.RootElement.GetProperty("message").GetString()}");
        }
        catch (Exception error) when (error is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            throw new RegistryUnreachableException($"what answers at {_registry.Address} is no schema registry: {error.Message}", error);
        }
    }
}
