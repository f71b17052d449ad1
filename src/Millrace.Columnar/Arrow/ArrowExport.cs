using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;

namespace Millrace.Columnar.Arrow;

/// <summary>
/// Gives schemas and batches to another library through the Arrow C data interface without copying. Each exported array holds its own
/// references to the buffers, so the batch may be disposed of before the consumer is done, on any thread.
/// </summary>
public static unsafe class ArrowExport
{
    /// <summary>Fills <paramref name="target"/>, which the consumer releases; a struct of the schema's fields.</summary>
    public static void Export(Schema schema, ArrowSchema* target) => Export("+s", "", false, schema.Fields, target);

    /// <summary>Fills <paramref name="target"/>, which the consumer releases; a struct array with one child a column.</summary>
    public static void Export(ColumnBatch batch, ArrowArray* target)
    {
        Begin(target, batch.RowCount, 0, 0, [null], batch.Columns.Count);
        for (var i = 0; i < batch.Columns.Count; i++)
            Export(batch.Columns[i], target->Children[i]);
    }

    /// <summary>The format string of a type.</summary>
    public static string FormatOf(DataType type) => type.Kind switch
    {
        TypeKind.Null => "n",
        TypeKind.Boolean => "b",
        TypeKind.Int8 => "c",
        TypeKind.UInt8 => "C",
        TypeKind.Int16 => "s",
        TypeKind.UInt16 => "S",
        TypeKind.Int32 => "i",
        TypeKind.UInt32 => "I",
        TypeKind.Int64 => "l",
        TypeKind.UInt64 => "L",
        TypeKind.Float32 => "f",
        TypeKind.Float64 => "g",
        TypeKind.Decimal128 => $"d:{type.Precision},{type.Scale}",
        TypeKind.Date32 => "tdD",
        TypeKind.Time64 => "ttu",
        TypeKind.Timestamp => "tsu:",
        TypeKind.TimestampTz => "tsu:UTC",
        TypeKind.Interval => "tin",
        TypeKind.Utf8 => "u",
        TypeKind.Binary => "z",
        TypeKind.List => "+l",
        TypeKind.Struct => "+s",
        TypeKind.Map => "+m",
        _ => throw new InvalidOperationException($"no Arrow format for {type.Kind}"),
    };

    private static void Export(string format, string name, bool nullable, IReadOnlyList<Field> children, ArrowSchema* target)
    {
        var formatBytes = Encoding.UTF8.GetByteCount(format) + 1;
        var nameBytes = Encoding.UTF8.GetByteCount(name) + 1;
        var pointers = children.Count * sizeof(ArrowSchema*);
        var structs = children.Count * sizeof(ArrowSchema);
        var block = (byte*)NativeMemory.AllocZeroed((nuint)(pointers + structs + formatBytes + nameBytes));
        *target = default;
        target->PrivateData = block;
        target->Release = &ReleaseSchema;
        target->Flags = nullable ? ArrowSchema.NullableFlag : 0;
        target->ChildCount = children.Count;
        target->Children = (ArrowSchema**)block;
        target->Format = block + pointers + structs;
        target->Name = target->Format + formatBytes;
        Encoding.UTF8.GetBytes(format, new Span<byte>(target->Format, formatBytes));
        Encoding.UTF8.GetBytes(name, new Span<byte>(target->Name, nameBytes));
        for (var i = 0; i < children.Count; i++)
        {
            var child = (ArrowSchema*)(block + pointers) + i;
            target->Children[i] = child;
            var field = children[i];
            Export(FormatOf(field.Type), field.Name, field.Nullable, field.Type.Children ?? [], child);
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void ReleaseSchema(ArrowSchema* schema)
    {
        for (long i = 0; i < schema->ChildCount; i++)
        {
            var child = schema->Children[i];
            if (child->Release != null)
                child->Release(child);
        }
        schema->Release = null;
        NativeMemory.Free(schema->PrivateData);
    }

    private static void Export(Column column, ArrowArray* target)
    {
        ColumnBuffer?[] buffers = column.Type.Kind switch
        {
            TypeKind.Null => [],
            TypeKind.Utf8 or TypeKind.Binary => [column.Validity, column.OffsetsBuffer, column.ValuesBuffer],
            TypeKind.List or TypeKind.Map => [column.Validity, column.OffsetsBuffer],
            TypeKind.Struct => [column.Validity],
            _ => [column.Validity, column.ValuesBuffer],
        };
        Begin(target, column.Length, column.NullCount, column.Offset, buffers, column.Children.Count);
        for (var i = 0; i < column.Children.Count; i++)
            Export(column.Children[i], target->Children[i]);
    }

    // One native block a node: buffer pointers, child pointers, child structs. Children own themselves, for a consumer may move a
    // child out (setting its Release to null) and release the parent first.
    private static void Begin(ArrowArray* target, int length, int nullCount, int offset, ColumnBuffer?[] buffers, int children)
    {
        var bufferBytes = buffers.Length * sizeof(void*);
        var pointerBytes = children * sizeof(ArrowArray*);
        var block = (byte*)NativeMemory.AllocZeroed((nuint)(bufferBytes + pointerBytes + (children * sizeof(ArrowArray)) + sizeof(void*)));
        *target = default;
        target->Length = length;
        target->NullCount = nullCount;
        target->Offset = offset;
        target->BufferCount = buffers.Length;
        target->Buffers = (void**)block;
        target->ChildCount = children;
        target->Children = (ArrowArray**)(block + bufferBytes);
        for (var i = 0; i < buffers.Length; i++)
            target->Buffers[i] = buffers[i] is { } buffer ? buffer.Retain().Pointer : null;
        for (var i = 0; i < children; i++)
            target->Children[i] = (ArrowArray*)(block + bufferBytes + pointerBytes) + i;
        target->PrivateData = (void*)GCHandle.ToIntPtr(GCHandle.Alloc(new ExportedNode((IntPtr)block, buffers)));
        target->Release = &ReleaseArray;
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void ReleaseArray(ArrowArray* array)
    {
        for (long i = 0; i < array->ChildCount; i++)
        {
            var child = array->Children[i];
            if (child->Release != null)
                child->Release(child);
        }
        var handle = GCHandle.FromIntPtr((IntPtr)array->PrivateData);
        var node = (ExportedNode)handle.Target!;
        handle.Free();
        array->Release = null;
        array->PrivateData = null;
        foreach (var buffer in node.Buffers)
            buffer?.Dispose();
        NativeMemory.Free((void*)node.Block);
    }

    private sealed record ExportedNode(IntPtr Block, ColumnBuffer?[] Buffers);
}
