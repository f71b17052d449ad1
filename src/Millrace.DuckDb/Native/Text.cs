using System.Runtime.InteropServices;
using System.Text;

namespace Millrace.DuckDb.Native;

/// <summary>UTF-8 texts across the border.</summary>
internal static unsafe class Text
{
    public static string? Read(byte* text) => Marshal.PtrToStringUTF8((IntPtr)text);

    /// <summary>With a final NUL.</summary>
    public static byte[] Bytes(string text)
    {
        var bytes = new byte[Encoding.UTF8.GetByteCount(text) + 1];
        Encoding.UTF8.GetBytes(text, bytes);
        return bytes;
    }
}
