using System.Runtime.InteropServices;

namespace Millrace.Kafka.Compression;

/// <summary>LZ4 frames through the system's liblz4 (lz4frame.h).</summary>
internal static unsafe class Lz4Frame
{
    private const uint FrameVersion = 100;

    public static void Decompress(ReadOnlySpan<byte> block, ref PooledOutput output)
    {
        Check(CreateDecompressionContext(out var context, FrameVersion));
        try
        {
            fixed (byte* start = block)
            {
                nuint consumed = 0;
                while (true)
                {
                    var room = output.Room(16 << 10);
                    nuint sourceSize = (nuint)block.Length - consumed;
                    nuint targetSize = (nuint)room.Length;
                    nuint hint;
                    fixed (byte* target = room)
                        hint = Check(Decompress(context, target, &targetSize, start + consumed, &sourceSize, null));
                    consumed += sourceSize;
                    output.Advance((int)targetSize);
                    if (consumed == (nuint)block.Length && targetSize < (nuint)room.Length)
                    {
                        if (hint != 0)
                            throw new InvalidDataException("an lz4 frame is cut off");
                        return;
                    }
                    if (sourceSize == 0 && targetSize == 0)
                        throw new InvalidDataException("an lz4 frame does not go on");
                }
            }
        }
        finally
        {
            _ = FreeDecompressionContext(context);
        }
    }

    public static byte[] Compress(ReadOnlySpan<byte> input)
    {
        var output = new byte[checked((int)CompressFrameBound((nuint)input.Length, null))];
        fixed (byte* source = input)
        fixed (byte* target = output)
        {
            var written = Check(CompressFrame(target, (nuint)output.Length, source, (nuint)input.Length, null));
            return output[..(int)written];
        }
    }

    private static nuint Check(nuint code) => IsError(code) == 0
        ? code
        : throw new InvalidDataException($"an lz4 frame is broken: {Marshal.PtrToStringUTF8((nint)GetErrorName(code))}");

    [DllImport("lz4", EntryPoint = "LZ4F_createDecompressionContext")]
    private static extern nuint CreateDecompressionContext(out nint context, uint version);

    [DllImport("lz4", EntryPoint = "LZ4F_freeDecompressionContext")]
    private static extern nuint FreeDecompressionContext(nint context);

    [DllImport("lz4", EntryPoint = "LZ4F_decompress")]
    private static extern nuint Decompress(nint context, byte* target, nuint* targetSize, byte* source, nuint* sourceSize, void* options);

    [DllImport("lz4", EntryPoint = "LZ4F_compressFrameBound")]
    private static extern nuint CompressFrameBound(nuint size, void* preferences);

    [DllImport("lz4", EntryPoint = "LZ4F_compressFrame")]
    private static extern nuint CompressFrame(byte* target, nuint capacity, byte* source, nuint size, void* preferences);

    [DllImport("lz4", EntryPoint = "LZ4F_isError")]
    private static extern uint IsError(nuint code);

    [DllImport("lz4", EntryPoint = "LZ4F_getErrorName")]
    private static extern byte* GetErrorName(nuint code);
}

/// <summary>Zstandard through the system's libzstd (zstd.h).</summary>
internal static unsafe class Zstandard
{
    private const int DefaultLevel = 3;

    public static void Decompress(ReadOnlySpan<byte> block, ref PooledOutput output)
    {
        var stream = CreateStream();
        if (stream == 0)
            throw new InsufficientMemoryException("libzstd has no memory for a stream");
        try
        {
            fixed (byte* start = block)
            {
                var input = new Buffer { Bytes = start, Size = (nuint)block.Length };
                while (true)
                {
                    var room = output.Room(16 << 10);
                    nuint left;
                    Buffer target;
                    var before = input.Position;
                    fixed (byte* to = room)
                    {
                        target = new Buffer { Bytes = to, Size = (nuint)room.Length };
                        left = Check(DecompressStream(stream, &target, &input));
                    }
                    output.Advance((int)target.Position);
                    if (input.Position == input.Size && target.Position < target.Size)
                    {
                        if (left != 0)
                            throw new InvalidDataException("a zstd frame is cut off");
                        return;
                    }
                    if (target.Position == 0 && input.Position == before)
                        throw new InvalidDataException("a zstd frame does not go on");
                }
            }
        }
        finally
        {
            _ = FreeStream(stream);
        }
    }

    public static byte[] Compress(ReadOnlySpan<byte> input)
    {
        var output = new byte[checked((int)CompressBound((nuint)input.Length))];
        fixed (byte* source = input)
        fixed (byte* target = output)
        {
            var written = Check(Compress(target, (nuint)output.Length, source, (nuint)input.Length, DefaultLevel));
            return output[..(int)written];
        }
    }

    private static nuint Check(nuint code) => IsError(code) == 0
        ? code
        : throw new InvalidDataException($"a zstd frame is broken: {Marshal.PtrToStringUTF8((nint)GetErrorName(code))}");

    [StructLayout(LayoutKind.Sequential)]
    private struct Buffer
    {
        public byte* Bytes;
        public nuint Size;
        public nuint Position;
    }

    [DllImport("zstd", EntryPoint = "ZSTD_createDStream")]
    private static extern nint CreateStream();

    [DllImport("zstd", EntryPoint = "ZSTD_freeDStream")]
    private static extern nuint FreeStream(nint stream);

    [DllImport("zstd", EntryPoint = "ZSTD_decompressStream")]
    private static extern nuint DecompressStream(nint stream, Buffer* output, Buffer* input);

    [DllImport("zstd", EntryPoint = "ZSTD_compressBound")]
    private static extern nuint CompressBound(nuint size);

    [DllImport("zstd", EntryPoint = "ZSTD_compress")]
    private static extern nuint Compress(byte* target, nuint capacity, byte* source, nuint size, int level);

    [DllImport("zstd", EntryPoint = "ZSTD_isError")]
    private static extern uint IsError(nuint code);

    [DllImport("zstd", EntryPoint = "ZSTD_getErrorName")]
    private static extern byte* GetErrorName(nuint code);
}

/// <summary>The other way, for batches that the broker itself makes.</summary>
public static class Compressor
{
    public static byte[] Compress(Records.CompressionType compression, ReadOnlySpan<byte> records)
    {
        switch (compression)
        {
            case Records.CompressionType.None:
                return records.ToArray();
            case Records.CompressionType.Snappy:
                return Snappy.Compress(records);
            case Records.CompressionType.Lz4:
                return Lz4Frame.Compress(records);
            case Records.CompressionType.Zstd:
                return Zstandard.Compress(records);
            case Records.CompressionType.Gzip:
                var target = new MemoryStream();
                using (var gzip = new System.IO.Compression.GZipStream(target, System.IO.Compression.CompressionLevel.Fastest))
                    gzip.Write(records);
                return target.ToArray();
            default:
                throw new ArgumentOutOfRangeException(nameof(compression), compression, "no such compression");
        }
    }
}
