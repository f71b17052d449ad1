using Millrace.Iceberg.Metadata;
using Millrace.Iceberg.Schemas;

namespace Millrace.Iceberg.Catalogs;

/// <summary>Names of tables, and for each the one current metadata file that a commit exchanges atomically. Thread-safe.</summary>
public interface ICatalog
{
    /// <summary>The namespaces directly below a parent; of the root when it is null.</summary>
    IReadOnlyList<Namespace> ListNamespaces(Namespace? parent = null);

    /// <exception cref="NoSuchNamespaceException">There is no such namespace.</exception>
    IReadOnlyList<TableIdent> ListTables(Namespace space);

    bool TableExists(TableIdent ident);

    /// <exception cref="NoSuchTableException">There is no such table.</exception>
    Table LoadTable(TableIdent ident);

    /// <summary>Makes an empty table; its namespace is made too when it is missing.</summary>
    /// <exception cref="AlreadyExistsException">There is a table of that name.</exception>
    Table CreateTable(TableIdent ident, IcebergSchema schema, PartitionSpec? spec = null, IReadOnlyDictionary<string, string>? properties = null);

    /// <summary>
    /// Applies updates if the requirements hold, and makes the result the table's state: durable and visible to every process when this
    /// returns, all or nothing.
    /// </summary>
    /// <exception cref="CommitConflictException">A requirement does not hold; nothing was changed.</exception>
    /// <exception cref="CommitStateUnknownException">The disk failed half way: reload and look.</exception>
    Table CommitTable(TableIdent ident, IReadOnlyList<TableRequirement> requirements, IReadOnlyList<MetadataUpdate> updates);

    /// <summary>Removes the table, and all its files when <paramref name="purge"/>.</summary>
    /// <exception cref="NoSuchTableException">There is no such table.</exception>
    void DropTable(TableIdent ident, bool purge = true);
}
