using Millrace.Columnar;
using Millrace.DuckDb;
using Millrace.Iceberg.Catalogs;
using Millrace.Iceberg.Files;
using Millrace.Iceberg.Metadata;
using Millrace.Iceberg.Schemas;
using Millrace.Storage.Files;

namespace Millrace.Interop.Iceberg;

/// <summary>Tables of ours for foreign readers: made once for all tests.</summary>
public sealed class SampleTables : IDisposable
{
    public SampleTables()
    {
        Folder = Path.Combine(Path.GetTempPath(), $"millrace-interop-{Guid.NewGuid():N}");
        Catalog = FolderCatalog.Open(DiskFileSystem.Instance, Folder, TimeProvider.System);
        Plain = Create("plain", []);
        Partitioned = Create("partitioned", [("identity", "country"), ("day", "ts"), ("bucket[3]", "id")]);
        Truncated = Create("truncated", [("truncate[10]", "id"), ("bucket[2]", "country"), ("hour", "ts")]);
        Evolved = Create("evolved", []);
        Evolve(Evolved);
        Typed = CreateTyped();
    }

    public string Folder { get; }

    public FolderCatalog Catalog { get; }

    /// <summary>Three snapshots.</summary>
    public Table Plain { get; }

    public Table Partitioned { get; }

    public Table Truncated { get; }

    /// <summary>A column renamed, one added, the order changed, the spec changed, then more rows.</summary>
    public Table Evolved { get; }

    /// <summary>A column of every type that version 2 has.</summary>
    public Table Typed { get; }

    public void Dispose() => Directory.Delete(Folder, recursive: true);

    public static string PathOf(Table table) => Path.GetDirectoryName(Path.GetDirectoryName(table.MetadataLocation))!;

    /// <summary>Rows as text that every reader can give: sorted.</summary>
    public static List<string> Rows(string sql, IcebergSchema schema, string? setup = null)
    {
        using var database = DuckDbDatabase.Open(null, new DuckDbOptions { EnableExternalAccess = true });
        using var connection = database.Connect();
        if (setup is not null)
            connection.Execute(setup);
        var cells = string.Join(" || '|' || ", schema.Fields.Select(f => $"coalesce({Text(DuckDbSql.Identifier(f.Name), f.Type)}, 'null')"));
        using var result = connection.Query($"SELECT {cells} FROM ({sql})");
        var rows = new List<string>();
        while (result.Next() is { } batch)
        {
            using (batch)
            {
                for (var row = 0; row < batch.RowCount; row++)
                    rows.Add(System.Text.Encoding.UTF8.GetString(batch[0].GetBytes(row)));
            }
        }
        rows.Sort(StringComparer.Ordinal);
        return rows;
    }

    private static string Text(string column, IcebergType type) => type switch
    {
        PrimitiveType { Kind: PrimitiveKind.Timestamp or PrimitiveKind.TimestampTz or PrimitiveKind.Time } => $"epoch_us({column})::VARCHAR",
        PrimitiveType { Kind: PrimitiveKind.Float or PrimitiveKind.Double } => $"CASE WHEN isnan({column}) THEN 'nan' ELSE printf('%.6f', {column}::DOUBLE) END",
        PrimitiveType { Kind: PrimitiveKind.Binary or PrimitiveKind.Fixed } => $"hex({column})",
        ListType l => $"CASE WHEN {column} IS NULL THEN NULL ELSE '[' || array_to_string(list_transform({column}, x -> coalesce({Text("x", l.Element)}, 'null')), ',') || ']' END",
        StructType s => $"CASE WHEN {column} IS NULL THEN NULL ELSE '{{' || {string.Join(" || ',' || ", s.Fields.Select(f => $"coalesce({Text($"{column}.{DuckDbSql.Identifier(f.Name)}", f.Type)}, 'null')"))} || '}}' END",
        MapType m => $"CASE WHEN {column} IS NULL THEN NULL ELSE '{{' || array_to_string(list_transform(map_entries({column}), e -> {Text("e.key", m.Key)} || '=' || coalesce({Text("e.value", m.Value)}, 'null')), ',') || '}}' END",
        _ => $"{column}::VARCHAR",
    };

    private Table Create(string name, (string, string)[] partitions)
    {
        var schema = IcebergSchema.From(new Schema(
            new Field("id", DataType.Int64, false), new Field("country", DataType.Utf8), new Field("ts", DataType.TimestampTz), new Field("price", DataType.Float64)));
        var table = Catalog.CreateTable(TableIdent.Parse("interop." + name), schema, PartitionSpec.For(schema, partitions));
        for (var i = 0; i < 3; i++)
            Append(table, $"SELECT range + {i * 50} AS id, CASE range % 4 WHEN 3 THEN NULL WHEN 2 THEN 'naïve' WHEN 1 THEN 'FR' ELSE 'DE' END AS country, "
                + $"timestamptz '1969-12-30 01:00:00.123+00' + INTERVAL (range * 5) HOUR AS ts, CASE WHEN range = 7 THEN 'nan'::DOUBLE ELSE range * -1.25 END AS price FROM range(50)");
        return table;
    }

    private static void Evolve(Table table)
    {
        table.Update(metadata => ([],
        [
            new MetadataUpdate.AddSchema(new IcebergSchema(1,
            [
                new NestedField(2, "land", false, PrimitiveType.String),
                new NestedField(5, "amount", false, PrimitiveType.Int),
                new NestedField(1, "id", true, PrimitiveType.Long),
                new NestedField(3, "ts", false, PrimitiveType.TimestampTz),
            ])),
            new MetadataUpdate.SetCurrentSchema(MetadataUpdate.LastAdded),
            new MetadataUpdate.AddSpec(new PartitionSpec(1, [new PartitionField(2, 0, "land", Millrace.Iceberg.Values.Transform.Identity)])),
            new MetadataUpdate.SetDefaultSpec(MetadataUpdate.LastAdded),
        ]));
        Append(table, "SELECT range + 1000 AS id, 'IT' AS land, 5 AS amount, NULL::TIMESTAMPTZ AS ts FROM range(10)");
    }

    private Table CreateTyped()
    {
        const string select = """
            SELECT true AS b, 1::INTEGER AS i, 2::BIGINT AS l, 1.5::FLOAT AS f, -2.5::DOUBLE AS d, 12.34::DECIMAL(9,2) AS d9, -5.5::DECIMAL(18,1) AS d18, 7::DECIMAL(38,0) AS d38,
              DATE '1965-05-05' AS dt, TIME '22:31:08.000001' AS tm, TIMESTAMP '1965-05-05 01:02:03.000004' AS ts, TIMESTAMPTZ '2065-05-05 01:02:03.000004+00' AS tz,
              repeat('é', 40) AS s, '\xAA\x00\xFF'::BLOB AS bin, [1, NULL, 3]::INTEGER[] AS li, {'x': 1, 'y': 'z'} AS st, MAP {'k': 1.5::DOUBLE} AS mp, [{'q': 5}] AS ls
            UNION ALL SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
            """;
        using var database = DuckDbDatabase.Open();
        using var connection = database.Connect();
        using var result = connection.Query(select);
        using var rows = result.ReadAll();
        var table = Catalog.CreateTable(TableIdent.Parse("interop.typed"), IcebergSchema.From(rows.Schema));
        using var writer = new ParquetWriter(table);
        table.NewAppend().Add(writer.Write(rows)).Commit();
        return table;
    }

    private static void Append(Table table, string select)
    {
        using var database = DuckDbDatabase.Open();
        using var connection = database.Connect();
        using var result = connection.Query(select);
        using var rows = result.ReadAll();
        using var writer = new ParquetWriter(table);
        table.NewAppend().Add(writer.Write(rows)).Set("interop", "yes").Commit();
    }
}
