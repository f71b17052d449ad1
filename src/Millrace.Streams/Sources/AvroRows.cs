using System.Buffers.Binary;
using System.Globalization;
using Millrace.Columnar;
using Millrace.Columnar.Avro;
using Millrace.Kafka.Clients;
using Millrace.Schemas;
using Millrace.Streams.Plans;

namespace Millrace.Streams.Sources;

/// <summary>
/// Avro in Confluent's frame: a zero byte, the schema's id in four bytes (most significant first), the record. The id is the writer's
/// schema, looked up once in the registry. It is read as the newest version of the source's subject that goes into the columns: a record of a
/// newer schema than any before makes that version be asked for again.
/// </summary>
internal sealed class AvroRows : IRowDecoder
{
    private const int FrameBytes = 5;
    private const int None = -1;

    // Records with nonsense in place of an id must not fill memory or ask the registry for each.
    private const int MostSchemas = 10_000;
    private const int MostUnknown = 1_000;

    private readonly SourcePlan _plan;
    private readonly AvroColumnDecoder _decoder;
    private readonly string _subject;
    private readonly RegistryClient _registry;
    private readonly Dictionary<int, (AvroPlan? Plan, RowFault Fault)> _plans = [];
    private readonly HashSet<int> _unknown = [];
    private AvroSchema? _reader;

    // Of the subject's newest version, as far as it has been seen; none while the subject has no version, or was not asked for since the registry was
    // not there when the plan was made.
    private int _newestId = None;
    private bool _columnsAreNewest = true;
    private int _lastId = None;
    private AvroPlan? _last;

    public AvroRows(SourcePlan plan, ClientLogins logins)
    {
        _plan = plan;
        var avro = plan.Avro ?? throw new ArgumentException($"source {plan.Name} reads Avro and names no registry");
        _decoder = new AvroColumnDecoder(plan.Schema);
        _subject = avro.Subject;
        if (avro.Reader is { } reader)
            Adopt(reader.Id, reader.Text, reader.Referenced);
        _registry = new RegistryClient(avro.Registry, TimeSpan.FromSeconds(10), logins.ForRegistry(avro.Registry));
    }

    public int RowCount => _decoder.RowCount;

    /// <exception cref="RegistryUnreachableException">The record's schema could not be asked for: the record is neither good nor bad.</exception>
    public bool TryDecode(ReadOnlySpan<byte> record, out RowFault fault)
    {
        fault = default;
        if (record.Length > _plan.MaxRecordBytes)
        {
            fault = new RowFault("too long", Text($"the record has {record.Length} bytes, more than the {_plan.MaxRecordBytes} allowed (max_record)"));
            return false;
        }
        if (record.Length < FrameBytes || record[0] != 0)
        {
            fault = new RowFault("not framed", record.Length < FrameBytes
                ? Text($"the record has {record.Length} bytes; Avro with a registry begins with a zero byte and four of the schema's id")
                : Text($"the record begins with the byte 0x{record[0]:X2}; Avro with a registry begins with a zero byte"));
            return false;
        }
        var id = BinaryPrimitives.ReadInt32BigEndian(record[1..]);
        if (id != _lastId || _last is null)
        {
            (_last, fault) = PlanOf(id);
            _lastId = id;
            if (_last is null)
                return false;
        }
        if (_decoder.TryDecode(_last, record[FrameBytes..], out var reason))
            return true;
        fault = new RowFault("not Avro of its schema", Text($"schema {id}: {reason}"));
        return false;
    }

    public void Forget()
    {
        _unknown.Clear();
        var misfits = _plans.Where(p => p.Value.Plan is null).Select(p => p.Key).ToArray();
        foreach (var id in misfits)
            _plans.Remove(id);
        // The subject may have a version by now that they fit.
        if (misfits.Length > 0)
            Renew();
        _last = null;
    }

    public ColumnBatch Build()
    {
        // What was unknown may have been registered since.
        _unknown.Clear();
        return _decoder.Build();
    }

    public void Dispose()
    {
        _decoder.Dispose();
        _registry.Dispose();
    }

    private (AvroPlan? Plan, RowFault Fault) PlanOf(int id)
    {
        if (_plans.TryGetValue(id, out var known))
            return known;
        var unknown = (null as AvroPlan, new RowFault(RowFault.UnknownSchema, Text($"schema {id} is not in the registry at {_registry.Address}")));
        if (_unknown.Contains(id) || _unknown.Count >= MostUnknown)
            return unknown;
        if (_registry.ById(id) is not { } schema)
        {
            _unknown.Add(id);
            return unknown;
        }
        if (id > _newestId)
            Renew();
        if (_plans.Count >= MostSchemas)
            _plans.Clear();
        return _plans[id] = Make(id, schema);
    }

    private void Renew()
    {
        if (_registry.Newest(_subject) is { Type: SchemaType.Avro } newest && newest.Id != _newestId)
            Adopt(newest.Id, newest.Text, newest.Referenced);
    }

    private void Adopt(int id, string text, IReadOnlyList<string> referenced)
    {
        _newestId = id;
        try
        {
            var reader = AvroSchema.Parse(text, referenced);
            _columnsAreNewest = Holds(_plan.Schema, reader) && reader.Fields.Count == _plan.Schema.Count;
            // A version that does not fit the columns helps nobody: its own records are refused, and the others' go on.
            _ = _decoder.Plan(reader);
            _reader = reader;
        }
        catch (AvroException)
        {
            // Not a schema that can be read with; the one before goes on being used.
            _columnsAreNewest = false;
        }
        _plans.Clear();
    }

    private (AvroPlan? Plan, RowFault Fault) Make(int id, SchemaWithReferences schema)
    {
        if (schema.Type != SchemaType.Avro)
            return (null, new RowFault("not Avro", Text($"schema {id} is {schema.Type}, not Avro")));
        try
        {
            var writer = AvroSchema.Parse(schema.Text, schema.Referenced);
            var waits = _plan.Avro!.WaitsForColumns && !_columnsAreNewest;
            if (waits && !Holds(_plan.Schema, writer))
            {
                return (null, new RowFault(RowFault.SchemaDoesNotFit, Text(
                    $"schema {id} has fields that the columns do not hold, and these are not yet those of schema {_newestId}, the newest of subject {_subject}")));
            }
            // Records that the columns hold are read as they were written while the newest version has other columns.
            return (_decoder.Plan(writer, waits ? null : _reader), default);
        }
        catch (AvroException error)
        {
            return (null, new RowFault(RowFault.SchemaDoesNotFit, Text($"schema {id}: {error.Message}")));
        }
    }

    /// <summary>Whether each field of a record has a column of its name that takes all its values. Types are compared as a pipeline file writes them.</summary>
    private static bool Holds(Schema columns, AvroSchema record) => AvroTypes.ColumnsOf(record).Fields.All(f =>
        columns.IndexOf(f.Name) is >= 0 and var index
        && (f.Type.SqlName.Equals(columns[index].Type.SqlName, StringComparison.OrdinalIgnoreCase)
            || (f.Type.Kind, columns[index].Type.Kind) is (TypeKind.Int32, TypeKind.Int64 or TypeKind.Float64) or (TypeKind.Float32, TypeKind.Float64)));

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
