using Millrace.Columnar;
using Millrace.Columnar.Json;
using Millrace.Kafka.Clients;
using Millrace.Streams.Plans;

namespace Millrace.Streams.Sources;

/// <summary>Why a record is not taken: what is counted, and the sentence that goes with the record.</summary>
internal readonly record struct RowFault(string Rule, string Reason)
{
    public const string UnknownSchema = "unknown schema";
    public const string SchemaDoesNotFit = "schema does not fit";
    public const string InTheFuture = "event time in the future";

    /// <summary>
    /// Whether the same record may be good later: its schema may be registered or the reader's changed, and the clock goes on. Bytes that cannot be
    /// decoded and rows that break a rule stay so.
    /// </summary>
    public static bool MayPass(string rule) => rule is UnknownSchema or SchemaDoesNotFit or InTheFuture;
}

/// <summary>Turns records of one format into rows. For one thread.</summary>
internal interface IRowDecoder : IDisposable
{
    /// <summary>Rows since the last <see cref="Build"/>.</summary>
    int RowCount { get; }

    /// <summary>Appends the record as a row, or tells why not and appends nothing.</summary>
    bool TryDecode(ReadOnlySpan<byte> record, out RowFault fault);

    /// <summary>What was looked up in vain is looked up again: records are tried anew.</summary>
    void Forget()
    {
    }

    /// <summary>The rows so far as a batch that the caller owns.</summary>
    ColumnBatch Build();
}

internal static class RowDecoder
{
    public static IRowDecoder Of(SourcePlan plan, ClientLogins logins) => plan.Format == RecordFormat.Avro ? new AvroRows(plan, logins) : new JsonRows(plan);
}

/// <summary>JSON objects, also in the frame of Confluent's serializers.</summary>
internal sealed class JsonRows(SourcePlan plan) : IRowDecoder
{
    private readonly JsonColumnDecoder _decoder = new(
        plan.Schema, new JsonDecoderOptions { MaxRecordBytes = plan.MaxRecordBytes, RefuseUnknownFields = plan.RefuseUnknownFields });

    public int RowCount => _decoder.RowCount;

    public bool TryDecode(ReadOnlySpan<byte> record, out RowFault fault)
    {
        fault = default;
        record = JsonFrame.Strip(record);
        if (_decoder.TryDecode(record, out var error))
            return true;
        fault = new RowFault(RuleOf(error), _decoder.Render(error, record));
        return false;
    }

    public ColumnBatch Build() => _decoder.Build();

    public void Dispose() => _decoder.Dispose();

    private string RuleOf(DecodeError error)
    {
        var kind = error.Kind switch
        {
            DecodeErrorKind.NotJson => "not JSON",
            DecodeErrorKind.NotAnObject => "not a JSON object",
            DecodeErrorKind.WrongType => "wrong type",
            DecodeErrorKind.WrongFormat => "wrong format",
            DecodeErrorKind.OutOfRange => "out of range",
            DecodeErrorKind.MissingRequired => "missing",
            DecodeErrorKind.UnknownField => "unknown field",
            DecodeErrorKind.DuplicateKey => "duplicate key",
            DecodeErrorKind.TooLong => "too long",
            DecodeErrorKind.InvalidUtf8 => "invalid UTF-8",
            DecodeErrorKind.NotFinite => "NaN or Infinity",
            DecodeErrorKind.TooDeep => "nested too deep",
            _ => error.Kind.ToString(),
        };
        return error.Column >= 0 ? $"{kind}: {plan.Schema[error.Column].Name}" : kind;
    }
}
