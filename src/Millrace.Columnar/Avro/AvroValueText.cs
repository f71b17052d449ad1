using System.Text;

namespace Millrace.Columnar.Avro;

/// <summary>Values of one schema as JSON text, for people. One thread.</summary>
public sealed class AvroValueText(AvroSchema schema)
{
    private readonly AvroNode _node = new AvroResolver().Resolve(schema, schema);
    private readonly AvroJsonText _text = new();

    /// <param name="value">One value in Avro's binary encoding.</param>
    /// <exception cref="AvroException">The bytes are no value of the schema.</exception>
    public string Write(ReadOnlySpan<byte> value)
    {
        var reader = new AvroReader(value);
        return Encoding.UTF8.GetString(_text.Write(_node, ref reader));
    }
}
