using System.Runtime.InteropServices;
using System.Text;
using Millrace.Columnar.Arrow;
using Millrace.DuckDb.Scanning;

namespace Millrace.DuckDb.Native;

/// <summary>Shapes and errors of results.</summary>
internal static unsafe class ResultSchema
{
    public static ArrowImporter Read(ResultHandle result, nint options, string sql)
    {
        var count = (int)NativeMethods.duckdb_column_count(result.Pointer);
        var types = new nint[count];
        var names = new nint[count];
        try
        {
            for (var i = 0; i < count; i++)
            {
                types[i] = NativeMethods.duckdb_column_logical_type(result.Pointer, (ulong)i);
                names[i] = (nint)NativeMethods.duckdb_column_name(result.Pointer, (ulong)i);
            }
            return Read(options, types, names, sql);
        }
        finally
        {
            foreach (var type in types)
                Destroy(type);
        }
    }

    public static ArrowImporter Read(nint options, nint[] types, nint[] names, string sql)
    {
        ArrowSchema schema = default;
        fixed (nint* t = types)
        fixed (nint* n = names)
            Check(NativeMethods.duckdb_to_arrow_schema(options, t, (byte**)n, (ulong)types.Length, &schema), sql);
        return new ArrowImporter(&schema);
    }

    /// <summary>True when the result has the columns that the importer knows, as far as can be told cheaply; nested types never match.</summary>
    public static bool Matches(ResultHandle result, ArrowImporter importer)
    {
        var schema = importer.Schema;
        if (schema.Count != (int)NativeMethods.duckdb_column_count(result.Pointer))
            return false;
        for (var i = 0; i < schema.Count; i++)
        {
            var type = schema[i].Type;
            var native = (DuckDbType)NativeMethods.duckdb_column_type(result.Pointer, (ulong)i);
            if (!LogicalTypes.IsFlat(type.Kind) || LogicalTypes.Flat(type.Kind) != native)
                return false;
            var name = MemoryMarshal.CreateReadOnlySpanFromNullTerminated(NativeMethods.duckdb_column_name(result.Pointer, (ulong)i));
            if (!Ascii.Equals(name, importer.ColumnNames[i]))
                return false;
        }
        return true;
    }

    public static void Destroy(nint type)
    {
        if (type != 0)
            NativeMethods.duckdb_destroy_logical_type(ref type);
    }

    public static bool HasError(ResultHandle result) => NativeMethods.duckdb_result_error(result.Pointer) is var text && text != null && *text != 0;

    public static DuckDbException ErrorOf(ResultHandle result, string sql) => DuckDbException.Parse(
        Text.Read(NativeMethods.duckdb_result_error(result.Pointer)) ?? "the statement failed",
        (DuckDbErrorType)NativeMethods.duckdb_result_error_type(result.Pointer), sql);

    /// <summary>Throws what a duckdb_error_data holds and destroys it.</summary>
    public static void Check(nint error, string? sql)
    {
        if (error == 0)
            return;
        try
        {
            if (NativeMethods.duckdb_error_data_has_error(error))
            {
                throw DuckDbException.Parse(
                    Text.Read(NativeMethods.duckdb_error_data_message(error)) ?? "failed",
                    (DuckDbErrorType)NativeMethods.duckdb_error_data_error_type(error), sql);
            }
        }
        finally
        {
            NativeMethods.duckdb_destroy_error_data(ref error);
        }
    }
}
