using Millrace.Columnar;
using Millrace.Iceberg.Catalogs;
using Millrace.Iceberg.Metadata;

namespace Millrace.Iceberg.Schemas;

/// <summary>
/// A table's schema made to take rows with more or wider columns (Iceberg spec, Schema Evolution): columns are added as optional ones with new ids, and
/// types are promoted where the spec lets them be (int to long, float to double, a decimal to more digits). Nothing is dropped or renamed.
/// </summary>
public static class SchemaEvolution
{
    /// <summary>The schema that takes rows of these columns; null when the table's own does.</summary>
    /// <exception cref="IcebergException">No allowed change makes it so; the message names the column.</exception>
    public static IcebergSchema? For(IcebergSchema table, int lastColumnId, Schema columns)
    {
        var fields = table.Fields.ToList();
        var changed = false;
        foreach (var column in columns.Fields)
        {
            var wanted = IcebergSchema.From(new Schema(column)).Fields[0].Type;
            var at = fields.FindIndex(f => f.Name == column.Name);
            if (at < 0)
            {
                if (wanted is not PrimitiveType)
                    throw new IcebergException($"column '{column.Name}' of {column.Type} is not in the table, and nested columns are not added by themselves; add it to the table");
                fields.Add(new NestedField(++lastColumnId, column.Name, Required: false, wanted));
                changed = true;
            }
            else if (!Takes(fields[at].Type, wanted))
            {
                if (!Takes(wanted, fields[at].Type))
                    throw new IcebergException($"column '{column.Name}' is {fields[at].Type} in the table and {wanted} in the rows; the one cannot become the other");
                fields[at] = fields[at] with { Type = wanted };
                changed = true;
            }
        }
        return changed ? new IcebergSchema(table.SchemaId, fields, table.IdentifierFieldIds) : null;
    }

    /// <summary>Makes the table take rows of these columns; tried again on the newest state when others commit meanwhile.</summary>
    /// <returns>Whether anything was changed.</returns>
    /// <exception cref="IcebergException">No allowed change makes it so.</exception>
    public static bool Evolve(Table table, Schema columns)
    {
        if (For(table.Metadata.Schema, table.Metadata.LastColumnId, columns) is null)
            return false;
        var changed = false;
        table.Update(metadata =>
        {
            // Another writer may have made the same change since.
            var schema = For(metadata.Schema, metadata.LastColumnId, columns);
            changed = schema is not null;
            return (
                [new TableRequirement.AssertCurrentSchemaId(metadata.CurrentSchemaId), new TableRequirement.AssertLastAssignedFieldId(metadata.LastColumnId)],
                schema is null ? [] : [new MetadataUpdate.AddSchema(schema), new MetadataUpdate.SetCurrentSchema(MetadataUpdate.LastAdded)]);
        });
        return changed;
    }

    /// <summary>Whether a column of the first type holds all values of the second.</summary>
    private static bool Takes(IcebergType has, IcebergType wanted) => has.Equals(wanted) || (has, wanted) switch
    {
        (PrimitiveType { Kind: PrimitiveKind.Long }, PrimitiveType { Kind: PrimitiveKind.Int }) => true,
        (PrimitiveType { Kind: PrimitiveKind.Double }, PrimitiveType { Kind: PrimitiveKind.Float }) => true,
        (PrimitiveType { Kind: PrimitiveKind.Decimal } wide, PrimitiveType { Kind: PrimitiveKind.Decimal } narrow) => wide.Scale == narrow.Scale && wide.Precision >= narrow.Precision,
        _ => false,
    };
}
