"""Pod Security Admission, by the standards "baseline" and "restricted" as published: which parts of a pod a namespace refuses.

Kept to what agents and test workloads touch; AppArmor, SELinux, sysctls and Windows are left out."""

LEVELS = ("privileged", "baseline", "restricted")
BASELINE_CAPABILITIES = {"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP",
                         "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"}
RESTRICTED_VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}


def violations(level, pod):
    """What is wrong with a pod's spec, in the words that the API server has for it."""
    if level not in LEVELS[1:]:
        return
    spec = pod.get("spec", {})
    containers = [c for name in ("initContainers", "containers", "ephemeralContainers") for c in spec.get(name) or ()]
    security = lambda c: c.get("securityContext") or {}
    for_pod = spec.get("securityContext") or {}

    def those(test):
        found = [f'"{c["name"]}"' for c in containers if test(c)]
        return f"container{'s' if len(found) > 1 else ''} {', '.join(found)}" if found else ""

    shared = [f"{n}=true" for n in ("hostNetwork", "hostPID", "hostIPC") if spec.get(n)]
    if shared:
        yield f"host namespaces ({', '.join(shared)})"
    if found := those(lambda c: security(c).get("privileged")):
        yield f"privileged ({found} must not set securityContext.privileged=true)"
    added = lambda c: {str(n) for n in (security(c).get("capabilities") or {}).get("add") or ()}
    if level == "baseline" and (found := those(lambda c: added(c) - BASELINE_CAPABILITIES)):
        names = sorted({f'"{n}"' for c in containers for n in added(c) - BASELINE_CAPABILITIES})
        yield f"non-default capabilities ({found} must not include {', '.join(names)} in securityContext.capabilities.add)"
    paths = [f'"{v["name"]}"' for v in spec.get("volumes") or () if "hostPath" in v]
    if paths:
        yield f"hostPath volumes (volume{'s' if len(paths) > 1 else ''} {', '.join(paths)})"
    if found := those(lambda c: any(p.get("hostPort") for p in c.get("ports") or ())):
        yield f"hostPort ({found} use hostPorts)"
    if level == "restricted":
        yield from restricted(spec, for_pod, security, added, those)


def restricted(spec, for_pod, security, added, those):
    odd = [v["name"] for v in spec.get("volumes") or () if not RESTRICTED_VOLUMES & set(v)]
    if odd:
        names = ", ".join(f'"{n}"' for n in odd)
        yield f"restricted volume types (volume{'s' if len(odd) > 1 else ''} {names} use restricted volume types)"
    if found := those(lambda c: security(c).get("allowPrivilegeEscalation") is not False):
        yield f"allowPrivilegeEscalation != false ({found} must set securityContext.allowPrivilegeEscalation=false)"
    drops = lambda c: "ALL" in ((security(c).get("capabilities") or {}).get("drop") or ())
    wrong = []
    if found := those(lambda c: not drops(c)):
        wrong.append(f'{found} must set securityContext.capabilities.drop=["ALL"]')
    if found := those(lambda c: added(c) - {"NET_BIND_SERVICE"}):
        names = sorted({n for c in spec.get("containers") or () for n in added(c)} - {"NET_BIND_SERVICE"})
        shown = ", ".join(f'"{n}"' for n in names)
        wrong.append(f"{found} must not include {shown} in securityContext.capabilities.add")
    if wrong:
        yield f"unrestricted capabilities ({'; '.join(wrong)})"
    if found := those(lambda c: not (security(c).get("runAsNonRoot") or (
            security(c).get("runAsNonRoot") is None and for_pod.get("runAsNonRoot")))):
        yield f"runAsNonRoot != true (pod or {found} must set securityContext.runAsNonRoot=true)"
    if found := those(lambda c: security(c).get("runAsUser", for_pod.get("runAsUser")) == 0):
        yield f"runAsUser=0 ({found} must not set runAsUser=0)"
    profile = lambda c: (security(c).get("seccompProfile") or for_pod.get("seccompProfile") or {}).get("type")
    if found := those(lambda c: profile(c) not in ("RuntimeDefault", "Localhost")):
        yield f'seccompProfile (pod or {found} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")'


def judge(namespace, pod):
    """The refusal (or `None`) and the warnings of a namespace about a pod."""
    labels = (namespace or {}).get("metadata", {}).get("labels") or {}

    def words(mode):
        level = labels.get(f"pod-security.kubernetes.io/{mode}", "privileged")
        version = labels.get(f"pod-security.kubernetes.io/{mode}-version", "latest")
        found = list(violations(level, pod))
        return f'violate{"s" if mode == "enforce" else ""} PodSecurity "{level}:{version}": {", ".join(found)}' if found else None
    return words("enforce"), [f"would {text}" for text in [words("warn")] if text]
