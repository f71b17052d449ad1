using Millrace.Columnar;
using Millrace.DuckDb;
using Millrace.Iceberg.Catalogs;
using Millrace.Iceberg.Files;
using Millrace.Iceberg.Manifests;
using Millrace.Iceberg.Metadata;
using Millrace.Iceberg.Schemas;
using Millrace.Storage.Files;

namespace Millrace.Tests.Iceberg;

/// <summary>A warehouse in a folder of its own, removed at the end.</summary>
internal sealed class Warehouse : IDisposable
{
    public Warehouse(IFileSystem? files = null)
    {
        Folder = Path.Combine(Path.GetTempPath(), $"millrace-lake-{Guid.NewGuid():N}");
        Catalog = FolderCatalog.Open(files ?? DiskFileSystem.Instance, Folder, TimeProvider.System);
    }

    public string Folder { get; }

    public FolderCatalog Catalog { get; }

    public void Dispose()
    {
        if (Directory.Exists(Folder))
            Directory.Delete(Folder, recursive: true);
    }
}

internal static class TestTables
{
    public static readonly Schema Columns = new(
        new Field("id", DataType.Int64, false), new Field("country", DataType.Utf8), new Field("ts", DataType.TimestampTz), new Field("price", DataType.Float64));

    public static readonly TableIdent Orders = TableIdent.Parse("sales.orders");

    public static Table Create(FolderCatalog catalog, params (string, string)[] partitions)
    {
        var schema = IcebergSchema.From(Columns);
        return catalog.CreateTable(Orders, schema, PartitionSpec.For(schema, partitions));
    }

    /// <summary>Rows id from..from+count-1, countries DE, FR, null in turn, an hour apart from 2024-01-01.</summary>
    public static ColumnBatch Rows(int from, int count)
    {
        using var ids = new ColumnBuilder(DataType.Int64);
        using var countries = new ColumnBuilder(DataType.Utf8);
        using var times = new ColumnBuilder(DataType.TimestampTz);
        using var prices = new ColumnBuilder(DataType.Float64);
        for (var i = from; i < from + count; i++)
        {
            ids.Append((long)i);
            if (i % 3 == 2)
                countries.AppendNull();
            else
                countries.AppendBytes(i % 3 == 0 ? "DE"u8 : "FR"u8);
            times.Append(1_704_067_200_000_000L + (i * 3_600_000_000L));
            prices.Append(i % 10 == 9 ? double.NaN : i * 1.5);
        }
        return new ColumnBatch(Columns, count, ids.Build(), countries.Build(), times.Build(), prices.Build());
    }

    public static IReadOnlyList<DataFile> Write(Table table, int from, int count)
    {
        using var writer = new ParquetWriter(table);
        using var rows = Rows(from, count);
        return writer.Write(rows);
    }

    /// <summary>A file that no scan opens: for tests of commits alone.</summary>
    public static DataFile Imaginary(string path, long records = 1) => new() { Path = path, RecordCount = records, FileSizeInBytes = 100 };

    /// <summary>The first column of each row of a query, as text.</summary>
    public static List<string?> Query(string sql)
    {
        using var database = DuckDbDatabase.Open(null, new DuckDbOptions { EnableExternalAccess = true });
        using var connection = database.Connect();
        using var result = connection.Query($"SELECT COLUMNS(*)::VARCHAR FROM ({sql})");
        var rows = new List<string?>();
        while (result.Next() is { } batch)
        {
            using (batch)
            {
                for (var row = 0; row < batch.RowCount; row++)
                    rows.Add(string.Join('|', batch.Columns.Select(c => c.IsNull(row) ? "NULL" : System.Text.Encoding.UTF8.GetString(c.GetBytes(row)))));
            }
        }
        return rows;
    }
}
