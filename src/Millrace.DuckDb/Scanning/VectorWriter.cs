using System.Runtime.CompilerServices;
using Millrace.Columnar;
using Millrace.Columnar.Kernels;
using Millrace.DuckDb.Native;

namespace Millrace.DuckDb.Scanning;

/// <summary>
/// Writes rows of a column into a DuckDB vector. Long strings are pointed at, not copied: the batch outlives the statement's scan, and
/// DuckDB copies what it keeps longer (as it does for Arrow scans).
/// </summary>
internal static unsafe class VectorWriter
{
    public static void Write(nint vector, Column column, int start, int count)
    {
        WriteValidity(vector, column, start, count);
        if (count == 0)
            return;
        switch (column.Type.Kind)
        {
            case TypeKind.Null:
                break;
            case TypeKind.Boolean:
                var booleans = (bool*)NativeMethods.duckdb_vector_get_data(vector);
                for (var i = 0; i < count; i++)
                    booleans[i] = column.GetBoolean(start + i);
                break;
            case TypeKind.Utf8 or TypeKind.Binary:
                WriteStrings((NativeString*)NativeMethods.duckdb_vector_get_data(vector), column, start, count);
                break;
            case TypeKind.Decimal128:
                WriteDecimals(NativeMethods.duckdb_vector_get_data(vector), column, start, count);
                break;
            case TypeKind.Interval:
                var intervals = (NativeInterval*)NativeMethods.duckdb_vector_get_data(vector);
                var values = column.Values<IntervalValue>().Slice(start, count);
                for (var i = 0; i < count; i++)
                    intervals[i] = new NativeInterval(values[i].Months, values[i].Days, values[i].Nanoseconds / 1000);
                break;
            case TypeKind.List or TypeKind.Map:
                WriteList(vector, column, start, count);
                break;
            case TypeKind.Struct:
                for (var i = 0; i < column.Children.Count; i++)
                    Write(NativeMethods.duckdb_struct_vector_get_child(vector, (ulong)i), column.Children[i], column.Offset + start, count);
                break;
            default:
                var width = column.Type.Width;
                Unsafe.CopyBlockUnaligned(
                    NativeMethods.duckdb_vector_get_data(vector),
                    column.ValuesBuffer!.Pointer + ((long)(column.Offset + start) * width), (uint)(count * width));
                break;
        }
    }

    private static void WriteValidity(nint vector, Column column, int start, int count)
    {
        if (column.NullCount == 0)
            return;
        NativeMethods.duckdb_vector_ensure_validity_writable(vector);
        var validity = NativeMethods.duckdb_vector_get_validity(vector);
        if (column.Validity is null)
            new Span<ulong>(validity, (count + 63) / 64).Clear();
        else
            Bitmaps.Copy(column.Validity.Pointer, column.Offset + start, count, validity);
    }

    private static void WriteStrings(NativeString* target, Column column, int start, int count)
    {
        var offsets = (int*)column.OffsetsBuffer!.Pointer + column.Offset + start;
        var bytes = column.ValuesBuffer!.Pointer;
        for (var i = 0; i < count; i++)
        {
            var length = offsets[i + 1] - offsets[i];
            var from = bytes + offsets[i];
            var text = new NativeString { Length = (uint)length };
            if (length > NativeString.InlineBytes)
            {
                text.Prefix = Unsafe.ReadUnaligned<uint>(from);
                text.Pointer = from;
            }
            else
            {
                // The bytes behind a short string are 0: DuckDB compares them whole.
                Unsafe.CopyBlockUnaligned((byte*)&text + 4, from, (uint)length);
            }
            target[i] = text;
        }
    }

    // DuckDB stores decimals in the narrowest integer that holds their precision.
    private static void WriteDecimals(void* target, Column column, int start, int count)
    {
        var values = column.Values<Int128>().Slice(start, count);
        switch (column.Type.Precision)
        {
            case <= 4:
                for (var i = 0; i < count; i++)
                    ((short*)target)[i] = (short)values[i];
                break;
            case <= 9:
                for (var i = 0; i < count; i++)
                    ((int*)target)[i] = (int)values[i];
                break;
            case <= 18:
                for (var i = 0; i < count; i++)
                    ((long*)target)[i] = (long)values[i];
                break;
            default:
                Unsafe.CopyBlockUnaligned(ref *(byte*)target, ref Unsafe.As<Int128, byte>(ref Unsafe.AsRef(in values[0])), (uint)(count * 16));
                break;
        }
    }

    private static void WriteList(nint vector, Column column, int start, int count)
    {
        var offsets = column.Offsets.Slice(start, count + 1);
        var first = offsets[0];
        var items = offsets[count] - first;
        if (NativeMethods.duckdb_list_vector_reserve(vector, (ulong)items) != NativeState.Success
            || NativeMethods.duckdb_list_vector_set_size(vector, (ulong)items) != NativeState.Success)
            throw new DuckDbException($"no room for a list of {items} items", DuckDbErrorType.OutOfMemory);
        var entries = (NativeListEntry*)NativeMethods.duckdb_vector_get_data(vector);
        for (var i = 0; i < count; i++)
            entries[i] = new NativeListEntry((ulong)(offsets[i] - first), (ulong)(offsets[i + 1] - offsets[i]));
        Write(NativeMethods.duckdb_list_vector_get_child(vector), column.Children[0], first, items);
    }
}
