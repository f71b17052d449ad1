using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using Millrace.Columnar;
using Millrace.Columnar.Arrow;
using Millrace.DuckDb;

namespace Millrace.Tests.Columnar;

public sealed unsafe class ArrowInterfaceTests
{
    private static int s_released;

    [Fact]
    public void What_is_exported_comes_back_without_a_copy_and_is_released_once()
    {
        using var database = DuckDbDatabase.Open(null, new DuckDbOptions { Threads = 1 });
        using var connection = database.Connect();
        using var result = connection.Query(
            "SELECT i, i % 2 = 0 AS b, 't' || i AS s, [i, NULL] AS l, {'x': i, 'y': ['z']} AS st, MAP {i: 'v'} AS m, NULL AS n, 1.5::DECIMAL(9,2) AS d FROM range(1000) t(i)");
        using var batch = result.ReadAll();
        ArrowSchema schema;
        ArrowArray array;
        ArrowExport.Export(batch.Schema, &schema);
        ArrowExport.Export(batch, &array);
        var importer = new ArrowImporter(&schema);
        Assert.True(schema.Release == null);
        Assert.Equal(batch.Schema.ToString(), importer.Schema.ToString());
        var back = importer.Import(&array);
        Assert.True(array.Release == null);
        Assert.Equal((nint)batch[0].ValuesBuffer!.Pointer, (nint)back[0].ValuesBuffer!.Pointer);
        var kept = back[2].Retain();
        back.Dispose();
        Assert.Equal("t999", ColumnText.Format(kept, 999));
        kept.Dispose();
        Assert.Equal(0, batch[0].Values<long>()[0]);
    }

    [Fact]
    public void An_exported_batch_outlives_its_disposal_and_is_released_on_any_thread()
    {
        using var builder = new ColumnBuilder(DataType.Utf8);
        builder.AppendBytes("still here"u8);
        var column = builder.Build();
        var batch = new ColumnBatch(new Schema(new Field("a", DataType.Utf8)), 1, column);
        var array = (ArrowArray*)NativeMemory.AllocZeroed((nuint)sizeof(ArrowArray));
        ArrowExport.Export(batch, array);
        batch.Dispose();
        GC.Collect();
        GC.WaitForPendingFinalizers();
        var child = array->Children[0];
        var text = new ReadOnlySpan<byte>((byte*)child->Buffers[2], 10);
        Assert.Equal("still here", Encoding.UTF8.GetString(text));
        // A consumer may move a child out and release the parent first.
        var moved = *child;
        child->Release = null;
        var thread = new Thread(() => array->Release(array));
        thread.Start();
        thread.Join();
        Assert.True(array->Release == null);
        Assert.Equal("still here", Encoding.UTF8.GetString(new ReadOnlySpan<byte>((byte*)moved.Buffers[2], 10)));
        moved.Release(&moved);
        Assert.True(moved.Release == null);
        NativeMemory.Free(array);
    }

    [Fact]
    public void A_foreign_array_is_released_when_its_last_buffer_goes_even_by_the_finalizer()
    {
        s_released = 0;
        Drop();
        for (var i = 0; i < 10 && Volatile.Read(ref s_released) == 0; i++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }
        Assert.Equal(1, Volatile.Read(ref s_released));
    }

    [Fact]
    public void Other_layouts_are_converted()
    {
        // Milliseconds, large strings, dictionary of int8, offset 1, nulls not counted.
        long* millis = stackalloc long[] { 99, 1, -1, 1500 };
        var validity = (byte)0b1011;
        using var times = Import("tsm:UTC", 3, 1, -1, [(nint)(&validity), (nint)millis]);
        Assert.Equal(1, times[0].NullCount);
        Assert.Equal([1_000, -1_000, 1_500_000], times[0].Values<long>().ToArray());
        Assert.True(times[0].IsNull(1));

        long* offsets = stackalloc long[] { 0, 2, 2, 5 };
        fixed (byte* bytes = "abcde"u8)
        {
            using var texts = Import("U", 2, 1, 0, [0, (nint)offsets, (nint)bytes]);
            Assert.Equal(["", "cde"], Enumerable.Range(0, 2).Select(i => ColumnText.Format(texts[0], i)));
        }
        int* seconds = stackalloc int[] { 5 };
        using var time = Import("tts", 1, 0, 0, [0, (nint)seconds]);
        Assert.Equal(5_000_000, time[0].Values<long>()[0]);
        long* nanos = stackalloc long[] { -1, 1999 };
        using var fine = Import("tsn:", 2, 0, 0, [0, (nint)nanos]);
        Assert.Equal([-1, 1], fine[0].Values<long>().ToArray());
        Assert.Equal(TypeKind.Timestamp, fine[0].Type.Kind);
    }

    [Fact]
    public void A_type_without_a_twin_is_refused_by_name()
    {
        var error = Assert.Throws<NotSupportedException>(() => Import("+us:0,1", 0, 0, 0, []));
        Assert.Contains("column 'c'", error.Message, StringComparison.Ordinal);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Drop()
    {
        var numbers = (long*)NativeMemory.Alloc(80);
        // Neither batch nor column is disposed of.
        _ = Import("l", 10, 0, 0, [0, (nint)numbers]);
    }

    // One column named c; buffers are not owned by the array.
    private static ColumnBatch Import(string format, long length, long offset, long nulls, nint[] buffers)
    {
        fixed (byte* root = "+s\0"u8)
        fixed (byte* name = "c\0"u8)
        fixed (byte* type = Encoding.UTF8.GetBytes(format + "\0"))
        {
            ArrowSchema child = new() { Format = type, Name = name, Flags = ArrowSchema.NullableFlag };
            var children = &child;
            ArrowSchema schema = new() { Format = root, Name = name + 1, ChildCount = 1, Children = &children };
            var importer = new ArrowImporter(&schema);
            var block = (nint*)NativeMemory.AllocZeroed((nuint)(sizeof(ArrowArray) + (sizeof(nint) * (buffers.Length + 2))));
            var column = (ArrowArray*)block;
            var pointers = (nint*)(column + 1);
            buffers.CopyTo(new Span<nint>(pointers, buffers.Length));
            *column = new ArrowArray { Length = length, Offset = offset, NullCount = nulls, BufferCount = buffers.Length, Buffers = (void**)pointers };
            pointers[buffers.Length] = 0;
            pointers[buffers.Length + 1] = (nint)column;
            ArrowArray array = new()
            {
                Length = length, BufferCount = 1, Buffers = (void**)(pointers + buffers.Length), ChildCount = 1,
                Children = (ArrowArray**)(pointers + buffers.Length + 1), Release = &Release, PrivateData = block,
            };
            return importer.Import(&array);
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void Release(ArrowArray* array)
    {
        Interlocked.Increment(ref s_released);
        array->Release = null;
        NativeMemory.Free(array->PrivateData);
    }
}
