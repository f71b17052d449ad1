using System.Text.Json;

namespace Millrace.Columnar.Json;

/// <summary>Makes a schema from records: what <c>gen</c> proposes, and what a source without declared columns reads with.</summary>
public static unsafe class JsonSchemaSampler
{
    /// <summary>
    /// Columns in the order in which their fields were first seen: BIGINT, DOUBLE, BOOLEAN, DATE, TIMESTAMPTZ, else VARCHAR (objects and arrays
    /// too: their JSON text). A field of several types takes the commonest. Records that are not JSON objects are passed over.
    /// </summary>
    /// <param name="records">The records, whole.</param>
    /// <param name="requirePresent">Make columns NOT NULL that no record leaves out or null.</param>
    /// <param name="maxColumns">A record with more fields than this in all is taken for data in keys.</param>
    /// <exception cref="InvalidDataException">No record is a JSON object with fields, or there are more than <paramref name="maxColumns"/> fields.</exception>
    public static Schema Sample(IEnumerable<ReadOnlyMemory<byte>> records, bool requirePresent = false, int maxColumns = 1000)
    {
        var fields = new Dictionary<string, Observed>(StringComparer.Ordinal);
        var order = new List<string>();
        var objects = 0;
        foreach (var record in records)
        {
            if (!TryParse(record, out var document))
                continue;
            using (document)
            {
                objects++;
                foreach (var property in document.RootElement.EnumerateObject())
                {
                    if (!fields.TryGetValue(property.Name, out var observed))
                    {
                        if (order.Count == maxColumns)
                            throw new InvalidDataException($"the records have more than {maxColumns} different fields; declare the columns");
                        fields.Add(property.Name, observed = new Observed());
                        order.Add(property.Name);
                    }
                    observed.Add(property.Value);
                }
            }
        }
        if (order.Count == 0)
            throw new InvalidDataException("no record is a JSON object with fields, so there is no schema to take from them");
        return new Schema(order.Select(name => new Field(name, fields[name].Type, !requirePresent || fields[name].Values < objects)).ToArray());
    }

    private static bool TryParse(ReadOnlyMemory<byte> record, out JsonDocument document)
    {
        document = null!;
        try
        {
            document = JsonDocument.Parse(record[(record.Length - JsonFrame.Strip(record.Span).Length)..]);
            if (document.RootElement.ValueKind == JsonValueKind.Object)
                return true;
            document.Dispose();
            return false;
        }
        catch (JsonException)
        {
            // A sample may hold bad records; the decoder tells of them with reasons.
            return false;
        }
    }

    private sealed class Observed
    {
        private int _booleans;
        private int _longs;
        private int _doubles;
        private int _dates;
        private int _timestamps;
        private int _texts;

        public int Values { get; private set; }

        public DataType Type
        {
            get
            {
                var numbers = _longs + _doubles;
                var times = _dates + _timestamps;
                // Text that is a time only now and then is text.
                var texts = _texts == 0 ? 0 : _texts + times;
                var most = Math.Max(Math.Max(numbers, _booleans), Math.Max(times, texts));
                if (most == 0 || most == texts)
                    return DataType.Utf8;
                if (most == times)
                    return _timestamps > 0 ? DataType.TimestampTz : DataType.Date32;
                if (most == numbers)
                    return _doubles > 0 ? DataType.Float64 : DataType.Int64;
                return DataType.Boolean;
            }
        }

        public void Add(JsonElement value)
        {
            if (value.ValueKind == JsonValueKind.Null)
                return;
            Values++;
            switch (value.ValueKind)
            {
                case JsonValueKind.True or JsonValueKind.False:
                    _booleans++;
                    break;
                case JsonValueKind.Number when value.TryGetInt64(out _):
                    _longs++;
                    break;
                case JsonValueKind.Number:
                    _doubles++;
                    break;
                case JsonValueKind.String:
                    AddText(value);
                    break;
                default:
                    _texts++;
                    break;
            }
        }

        private void AddText(JsonElement value)
        {
            string text;
            try
            {
                text = value.GetString()!;
            }
            catch (InvalidOperationException)
            {
                // A lone surrogate: the decoder refuses it, and its type is text all the same.
                _texts++;
                return;
            }
            var bytes = System.Text.Encoding.UTF8.GetBytes(text);
            fixed (byte* p = bytes)
            {
                if (bytes.Length == 10 && JsonTimes.TryDate(p, p + 10, out _))
                    _dates++;
                else if (bytes.Length is > 10 and < 64 && JsonTimes.TryTimestamp(p, p + bytes.Length, out _))
                    _timestamps++;
                else
                    _texts++;
            }
        }
    }
}
