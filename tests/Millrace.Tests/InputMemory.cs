using System.Globalization;

namespace Millrace.Tests;

/// <summary>What inputs of fuzz tests allocate, each bounded by a multiple of its own size and a constant: no few bytes may claim much memory.</summary>
internal sealed class InputMemory
{
    private long _before;
    private int _thread;
    private long _most;
    private double _mostEach;
    private int _mostLength;

    public void Begin() => (_thread, _before) = (Environment.CurrentManagedThreadId, GC.GetAllocatedBytesForCurrentThread());

    /// <param name="length">Bytes of the input.</param>
    /// <param name="each">Bytes that may be allocated for each of them.</param>
    /// <param name="besides">Bytes that may be allocated besides: an exception with its trace, say.</param>
    /// <param name="input">Shown when it was more.</param>
    public void End(int length, int each, long besides, Func<string> input)
    {
        // Work that went over to another thread cannot be counted.
        Assert.Equal(_thread, Environment.CurrentManagedThreadId);
        var allocated = Allocated;
        Assert.True(allocated <= besides + (long)each * length, $"{allocated} bytes allocated for an input of {length}: {input()}");
        if (allocated > _most)
            (_most, _mostLength) = (allocated, length);
        _mostEach = Math.Max(_mostEach, (double)(allocated - besides) / Math.Max(1, length));
    }

    /// <summary>
    /// Reads an input that changes nothing, and again when it was too much: what the runtime allocates for itself now and then, for the first exception through
    /// a method say, does not come twice.
    /// </summary>
    public T Read<T>(Func<T> read, int length, int each, long besides, Func<string> input)
    {
        Begin();
        var result = read();
        if (Allocated > besides + (long)each * length)
        {
            Begin();
            result = read();
        }
        End(length, each, besides, input);
        return result;
    }

    private long Allocated => GC.GetAllocatedBytesForCurrentThread() - _before;

    public override string ToString() =>
        string.Create(CultureInfo.InvariantCulture, $"at most {_most} bytes allocated, by one of {_mostLength} bytes; beyond the constant at most {Math.Max(0, _mostEach):0} for each byte");
}
