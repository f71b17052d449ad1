using System.Text.Json;
using Millrace.Columnar;

namespace Millrace.WebConsole.Wire;

/// <summary>Column batches as JSON: <see cref="ColumnInfo"/> lists and rows as arrays.</summary>
internal static class JsonTables
{
    public static void WriteColumns(Utf8JsonWriter writer, Schema schema)
    {
        writer.WriteStartArray("columns"u8);
        foreach (var field in schema.Fields)
        {
            writer.WriteStartObject();
            writer.WriteString("name"u8, field.Name);
            writer.WriteString("type"u8, field.Type.ToString());
            writer.WriteEndObject();
        }
        writer.WriteEndArray();
    }

    public static void WriteRow(Utf8JsonWriter writer, ColumnBatch batch, int row)
    {
        writer.WriteStartArray();
        for (var i = 0; i < batch.Columns.Count; i++)
            JsonRows.Write(writer, batch.Columns[i], row);
        writer.WriteEndArray();
    }
}
