using System.Runtime.InteropServices;

namespace Millrace.Coordination.Node;

/// <summary>
/// Work that may take seconds and that nobody waits for (snapshots) gives way to threads that answer. Linux has such priorities for threads;
/// .NET leaves them alone there. Elsewhere nothing is done.
/// </summary>
internal static class Priority
{
    private const int ThisThread = 0;
    private const int Nice = 10;

    /// <summary>Lowers the calling thread's; it cannot be raised again.</summary>
    public static void Lower()
    {
        if (OperatingSystem.IsLinux())
            _ = SetPriority(0, ThisThread, Nice); // A kernel that refuses only leaves things as they are.
    }

    [DllImport("libc", EntryPoint = "setpriority")]
    private static extern int SetPriority(int which, int who, int priority);
}
