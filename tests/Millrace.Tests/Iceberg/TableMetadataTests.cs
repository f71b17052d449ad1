using System.Text;
using System.Text.Json;
using Millrace.Iceberg;
using Millrace.Iceberg.Metadata;

namespace Millrace.Tests.Iceberg;

public sealed class TableMetadataTests
{
    private static string Data => Path.Combine(Repository.Shared!, "data", "iceberg");

    [SharedDataFact("iceberg")]
    public void Metadata_of_every_version_loads_and_what_breaks_the_rules_is_refused()
    {
        var loaded = 0;
        var refused = 0;
        foreach (var file in Directory.EnumerateFiles(Data, "*.json", SearchOption.AllDirectories))
        {
            var name = Path.GetFileName(file);
            if (!name.StartsWith("TableMetadata", StringComparison.Ordinal) && !name.StartsWith("example_", StringComparison.Ordinal)
                && !file.EndsWith(".metadata.json", StringComparison.Ordinal))
                continue;
            // Expected JSON of Avro files lies beside the tables; it is no table metadata.
            if (!File.ReadAllText(file).Contains("\"format-version\"", StringComparison.Ordinal)
                || !File.ReadAllText(file).Contains("\"location\"", StringComparison.Ordinal))
                continue;
            var bad = name.Contains("Missing") || name.Contains("Invalid") || name.Contains("NotFound") || name.Contains("Unsupported") || name.Contains("NoValid")
                || (name.Contains("Without") && !name.Contains("V1"))
                || File.ReadAllText(file).Contains("9876543210123456789", StringComparison.Ordinal);
            if (bad)
            {
                Assert.Throws<InvalidMetadataException>(() => TableMetadata.Read(File.ReadAllBytes(file), file));
                refused++;
                continue;
            }
            var metadata = TableMetadata.Read(File.ReadAllBytes(file), file);
            Assert.NotEmpty(metadata.Schemas);
            // Reading what we write gives the same metadata.
            var again = TableMetadata.Read(metadata.ToJson(), file);
            Assert.Equal(Encoding.UTF8.GetString(metadata.ToJson()), Encoding.UTF8.GetString(again.ToJson()));
            Assert.Equal(metadata.CurrentSnapshotId, again.CurrentSnapshotId);
            loaded++;
        }
        Assert.True(loaded > 30, $"{loaded} files");
        Assert.True(refused >= 4, $"{refused} files");
    }

    [SharedDataFact("iceberg/iceberg-java/TableMetadataV2Valid.json")]
    public void Reading_keeps_ids_beyond_doubles_and_unknown_fields()
    {
        var json = File.ReadAllText(Path.Combine(Data, "iceberg-java", "TableMetadataV2Valid.json"));
        var metadata = TableMetadata.Read(Encoding.UTF8.GetBytes(json.Insert(json.IndexOf('{') + 1, "\"from-the-future\": {\"a\": [1]},")), "x");
        Assert.Equal(3055729675574597004, metadata.CurrentSnapshotId);
        Assert.Equal("s3://bucket/test/location", metadata.Location);
        Assert.Equal([1, 2], metadata.Schema.IdentifierFieldIds);
        Assert.Equal(2, metadata.Snapshots.Count);
        using var written = JsonDocument.Parse(metadata.ToJson());
        Assert.Equal(1, written.RootElement.GetProperty("from-the-future").GetProperty("a")[0].GetInt32());
        Assert.Equal(3055729675574597004, written.RootElement.GetProperty("current-snapshot-id").GetInt64());
    }

    [Fact]
    public void A_version_beyond_three_is_refused_with_a_hint()
    {
        var error = Assert.Throws<InvalidMetadataException>(() => TableMetadata.Read("""{"format-version": 4}"""u8.ToArray(), "wh/t/v7.metadata.json"));
        Assert.Contains("wh/t/v7.metadata.json", error.Message);
        Assert.Contains("1 to 3", error.Message);
        Assert.Contains("newer Millrace", error.Message);
    }

    [Theory]
    [InlineData("{", "line 1")]
    [InlineData("[]", "expected an object")]
    [InlineData("""{"format-version": 2.5}""", "32-bit integer")]
    [InlineData("""{"format-version": 2, "table-uuid": "9c12d441-03fe-4693-9a96-a0705ddf69c1"}""", "missing")]
    public void Broken_metadata_is_told_with_file_and_part(string json, string expected)
    {
        var error = Assert.Throws<InvalidMetadataException>(() => TableMetadata.Read(Encoding.UTF8.GetBytes(json), "f.json"));
        Assert.Contains("f.json", error.Message);
        Assert.Contains(expected, error.Message);
    }
}
