using System.Globalization;
using System.Text;
using Millrace.Iceberg.Metadata;
using Millrace.Iceberg.Schemas;

namespace Millrace.Iceberg.Manifests;

/// <summary>The Avro schemas of manifests and manifest lists as they are written, versions 2 and 3.</summary>
internal static class ManifestSchemas
{
    public static string ListSchema(int formatVersion)
    {
        var text = new StringBuilder("""
            {"type":"record","name":"manifest_file","fields":[
            {"name":"manifest_path","type":"string","field-id":500},
            {"name":"manifest_length","type":"long","field-id":501},
            {"name":"partition_spec_id","type":"int","field-id":502},
            {"name":"content","type":"int","field-id":517},
            {"name":"sequence_number","type":"long","field-id":515},
            {"name":"min_sequence_number","type":"long","field-id":516},
            {"name":"added_snapshot_id","type":"long","field-id":503},
            {"name":"added_files_count","type":"int","field-id":504},
            {"name":"existing_files_count","type":"int","field-id":505},
            {"name":"deleted_files_count","type":"int","field-id":506},
            {"name":"added_rows_count","type":"long","field-id":512},
            {"name":"existing_rows_count","type":"long","field-id":513},
            {"name":"deleted_rows_count","type":"long","field-id":514},
            {"name":"partitions","type":["null",{"type":"array","items":{"type":"record","name":"r508","fields":[
            {"name":"contains_null","type":"boolean","field-id":509},
            {"name":"contains_nan","type":["null","boolean"],"default":null,"field-id":518},
            {"name":"lower_bound","type":["null","bytes"],"default":null,"field-id":510},
            {"name":"upper_bound","type":["null","bytes"],"default":null,"field-id":511}]},"element-id":508}],"default":null,"field-id":507},
            {"name":"key_metadata","type":["null","bytes"],"default":null,"field-id":519}
            """);
        if (formatVersion >= 3)
            text.Append(""",{"name":"first_row_id","type":["null","long"],"default":null,"field-id":520}""");
        return text.Append("]}").ToString().Replace("\n", "", StringComparison.Ordinal);
    }

    public static string EntrySchema(int formatVersion, PartitionSpec spec, PrimitiveType[] types)
    {
        var text = new StringBuilder("""
            {"type":"record","name":"manifest_entry","fields":[
            {"name":"status","type":"int","field-id":0},
            {"name":"snapshot_id","type":["null","long"],"default":null,"field-id":1},
            {"name":"sequence_number","type":["null","long"],"default":null,"field-id":3},
            {"name":"file_sequence_number","type":["null","long"],"default":null,"field-id":4},
            {"name":"data_file","type":{"type":"record","name":"r2","fields":[
            {"name":"content","type":"int","field-id":134},
            {"name":"file_path","type":"string","field-id":100},
            {"name":"file_format","type":"string","field-id":101},
            {"name":"partition","type":{"type":"record","name":"r102","fields":[
            """);
        for (var i = 0; i < types.Length; i++)
        {
            var field = spec.Fields[i];
            text.Append(i == 0 ? "" : ",").Append(CultureInfo.InvariantCulture, $$"""{"name":"{{AvroName(field.Name)}}","type":["null",{{AvroType(types[i], field.FieldId)}}],"default":null,"field-id":{{field.FieldId}}}""");
        }
        text.Append("""
            ]},"field-id":102},
            {"name":"record_count","type":"long","field-id":103},
            {"name":"file_size_in_bytes","type":"long","field-id":104},
            """);
        text.Append(Map("column_sizes", 108, 117, 118, "long")).Append(Map("value_counts", 109, 119, 120, "long"))
            .Append(Map("null_value_counts", 110, 121, 122, "long")).Append(Map("nan_value_counts", 137, 138, 139, "long"))
            .Append(Map("lower_bounds", 125, 126, 127, "bytes")).Append(Map("upper_bounds", 128, 129, 130, "bytes"));
        text.Append("""
            {"name":"key_metadata","type":["null","bytes"],"default":null,"field-id":131},
            {"name":"split_offsets","type":["null",{"type":"array","items":"long","element-id":133}],"default":null,"field-id":132},
            {"name":"equality_ids","type":["null",{"type":"array","items":"int","element-id":136}],"default":null,"field-id":135},
            {"name":"sort_order_id","type":["null","int"],"default":null,"field-id":140}
            """);
        if (formatVersion >= 3)
            text.Append(""",{"name":"first_row_id","type":["null","long"],"default":null,"field-id":142}""");
        text.Append(""",{"name":"referenced_data_file","type":["null","string"],"default":null,"field-id":143}""");
        if (formatVersion >= 3)
        {
            text.Append(""",{"name":"content_offset","type":["null","long"],"default":null,"field-id":144}""");
            text.Append(""",{"name":"content_size_in_bytes","type":["null","long"],"default":null,"field-id":145}""");
        }
        return text.Append("""]},"field-id":2}]}""").ToString().Replace("\n", "", StringComparison.Ordinal);
    }

    /// <summary>Bytes of the smallest fixed that holds a decimal of that precision.</summary>
    public static int DecimalBytes(int precision)
    {
        var most = Int128.One;
        for (var i = 0; i < precision; i++)
            most *= 10;
        var bytes = 1;
        while (bytes < 16 && (Int128.One << ((bytes * 8) - 1)) < most)
            bytes++;
        return bytes;
    }

    private static string Map(string name, int id, int keyId, int valueId, string value) => string.Create(CultureInfo.InvariantCulture,
        $$"""{"name":"{{name}}","type":["null",{"type":"array","items":{"type":"record","name":"k{{keyId}}_v{{valueId}}","fields":[{"name":"key","type":"int","field-id":{{keyId}}},{"name":"value","type":"{{value}}","field-id":{{valueId}}}]},"logicalType":"map"}],"default":null,"field-id":{{id}}},""");

    private static string AvroType(PrimitiveType type, int fieldId)
    {
        var id = fieldId.ToString(CultureInfo.InvariantCulture);
        return type.Kind switch
        {
            PrimitiveKind.Boolean => "\"boolean\"",
            PrimitiveKind.Int => "\"int\"",
            PrimitiveKind.Long => "\"long\"",
            PrimitiveKind.Float => "\"float\"",
            PrimitiveKind.Double => "\"double\"",
            PrimitiveKind.Date => """{"type":"int","logicalType":"date"}""",
            PrimitiveKind.Time => """{"type":"long","logicalType":"time-micros"}""",
            PrimitiveKind.Timestamp => """{"type":"long","logicalType":"timestamp-micros","adjust-to-utc":false}""",
            PrimitiveKind.TimestampTz => """{"type":"long","logicalType":"timestamp-micros","adjust-to-utc":true}""",
            PrimitiveKind.TimestampNs => """{"type":"long","logicalType":"timestamp-nanos","adjust-to-utc":false}""",
            PrimitiveKind.TimestampTzNs => """{"type":"long","logicalType":"timestamp-nanos","adjust-to-utc":true}""",
            PrimitiveKind.String => "\"string\"",
            PrimitiveKind.Uuid => $$"""{"type":"fixed","name":"uuid_fixed_{{id}}","size":16,"logicalType":"uuid"}""",
            PrimitiveKind.Fixed => string.Create(CultureInfo.InvariantCulture, $$"""{"type":"fixed","name":"fixed_{{id}}","size":{{type.Length}}}"""),
            PrimitiveKind.Decimal => string.Create(CultureInfo.InvariantCulture,
                $$"""{"type":"fixed","name":"decimal_{{id}}","size":{{DecimalBytes(type.Precision)}},"logicalType":"decimal","precision":{{type.Precision}},"scale":{{type.Scale}}}"""),
            _ => "\"bytes\"",
        };
    }

    /// <summary>Avro names have letters, digits and underscores only; others become _xHEX, as Iceberg's own writers do.</summary>
    private static string AvroName(string name)
    {
        var text = new StringBuilder(name.Length);
        foreach (var c in name)
        {
            if (char.IsAsciiLetter(c) || c == '_' || (text.Length > 0 && char.IsAsciiDigit(c)))
                text.Append(c);
            else if (char.IsAsciiDigit(c))
                text.Append('_').Append(c);
            else
                text.Append("_x").Append(((int)c).ToString("X", CultureInfo.InvariantCulture));
        }
        return text.ToString();
    }
}
