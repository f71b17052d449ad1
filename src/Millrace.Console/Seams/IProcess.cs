using Millrace.WebConsole.Wire;

namespace Millrace.WebConsole.Seams;

/// <summary>Facts about the process and its machine.</summary>
public interface IProcess
{
    /// <summary>The newest sample; cheap, sampled at most once a second.</summary>
    ProcessInfo Look();
}
