using Millrace.Columnar;
using Millrace.Iceberg;
using Millrace.Iceberg.Catalogs;
using Millrace.Iceberg.Schemas;

namespace Millrace.Tests.Iceberg;

public sealed class SchemaEvolutionTests
{
    private static readonly Schema First = new(
        new Field("a", DataType.Int32), new Field("b", new DataType(TypeKind.Float32)), new Field("c", new DataType(TypeKind.Decimal128, 10, 2)), new Field("d", DataType.Utf8));

    [Fact]
    public void Columns_are_added_as_optional_ones_and_types_widened_and_old_rows_stay_readable()
    {
        using var warehouse = new Warehouse();
        var table = TestTables.Create(warehouse.Catalog);
        table.NewAppend().Add(TestTables.Write(table, 0, 5)).Commit();
        Assert.False(SchemaEvolution.Evolve(table, TestTables.Columns));
        var wider = new Schema([.. TestTables.Columns.Fields, new Field("note", DataType.Utf8)]);
        Assert.True(SchemaEvolution.Evolve(table, wider));
        Assert.False(SchemaEvolution.Evolve(warehouse.Catalog.LoadTable(TestTables.Orders), wider));
        var added = table.Metadata.Schema.Fields[^1];
        Assert.Equal((5, "note", false), (added.Id, added.Name, added.Required));
        Assert.Equal(2, table.Metadata.Schemas.Count);
        table.NewAppend().Add(TestTables.Write(table, 5, 5)).Commit();
        Assert.Equal(10, TestTables.Query(table.ScanSql(columns: ["id", "note"])).Count);
    }

    [Fact]
    public void Types_are_promoted_as_the_specification_lets_them_be_and_no_further()
    {
        var schema = IcebergSchema.From(First);
        IcebergSchema? Evolved(string name, DataType type) => SchemaEvolution.For(schema, schema.HighestFieldId, new Schema(new Field(name, type)));
        Assert.Equal(PrimitiveType.Long, Evolved("a", DataType.Int64)!.Fields[0].Type);
        Assert.Equal(PrimitiveType.Double, Evolved("b", DataType.Float64)!.Fields[1].Type);
        Assert.Equal(PrimitiveType.DecimalOf(20, 2), Evolved("c", new DataType(TypeKind.Decimal128, 20, 2))!.Fields[2].Type);
        // The table's columns hold these already.
        Assert.Null(Evolved("c", new DataType(TypeKind.Decimal128, 5, 2)));
        Assert.Null(Evolved("a", DataType.Int32));
        foreach (var (name, type) in new[] { ("a", DataType.Utf8), ("a", DataType.Float64), ("c", new DataType(TypeKind.Decimal128, 20, 3)), ("d", DataType.Int64) })
            Assert.Contains($"column '{name}'", Assert.Throws<IcebergException>(() => Evolved(name, type)).Message, StringComparison.Ordinal);
        Assert.Throws<IcebergException>(() => Evolved("e", new DataType(TypeKind.List, Children: [new Field("element", DataType.Int64)])));
    }
}
