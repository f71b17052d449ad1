namespace Millrace.Columnar.Json;

/// <summary>
/// The frame that Confluent's JSON Schema serializers put before a record: a zero byte and the schema's id, 32 bits. No JSON text begins with a
/// zero byte, so records with and without it are told apart.
/// </summary>
public static class JsonFrame
{
    private const int Bytes = 5;

    /// <summary>The JSON text of a record.</summary>
    public static ReadOnlySpan<byte> Strip(ReadOnlySpan<byte> record) => record.Length > Bytes && record[0] == 0 ? record[Bytes..] : record;
}
