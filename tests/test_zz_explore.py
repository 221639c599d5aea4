"""Exploration, not part of the project."""
import os, json, time, sys
from pathlib import Path
import pytest
import steps
from bed.base_image import SMALL_JUPYTER
from bed.users import USERS
sys.path.insert(0,'/tmp/explore')
from accounts import ACCOUNTS
LAB="/opt/farlab-bed/lab"
@pytest.mark.parametrize("name", list(ACCOUNTS))
def test_explore(name, bed, host, laptop, request):
    a=ACCOUNTS[name]; user=a.get("user","cora")
    real=a.get("real",False)
    lab=LAB if real else str(SMALL_JUPYTER)
    if not real: request.getfixturevalue("small_jupyter")
    bed.fresh_home(user)
    home=host.home(user)
    if a.get("bare",True) and user=="cora" and not a.get("keep"):
        for f in (".bashrc",".bash_profile"):
            (home/f).unlink(missing_ok=True)
    for fn,text in a.get("files",{}).items():
        p=home/fn; p.parent.mkdir(parents=True,exist_ok=True); p.write_text(text.replace("@LAB@",lab))
        if text.startswith("#!"): p.chmod(0o755)
        for each in (p,*p.relative_to(home).parents): os.chown(home/each,USERS[user].uid,USERS[user].uid)
    if "root" in a:
        r=host.run("root",["sh","-c",a["root"].replace("@LAB@",lab)]); assert r.returncode==0,r
    if "before" in a:
        r=host.run(user,["sh","-c",a["before"].replace("@LAB@",lab)]); assert r.returncode==0,r
    t=time.monotonic()
    ran=laptop.farlab("connect",user,"--json","--no-browser",*a.get("words",[]),timeout=100,env=a.get("env"))
    took=time.monotonic()-t
    d=ran.json
    out=open("/tmp/explore/out","a")
    if d["ok"]:
        ok=steps.answers(laptop,d)
        print("\n== %-32s OK %s %.1fs launcher=%s env=%s app=%s notes=%s"%(name,ok,took,d.get("launcher"),d.get("environment"),d.get("app"),d.get("notes")),file=out)
        if "check" in a:
            r=host.run(user,["sh","-c",a["check"]]); print("   check",r.returncode,r.stdout,r.stderr,file=out)
        if "kernel" in a:
            from address import Address
            try:
                ad=Address(laptop,d)
                with ad.kernel() as k: print("   kernel:",k.run(a["kernel"]),file=out)
            except Exception as e: print("   kernel failed",repr(e)[:300],file=out)
        r=laptop.farlab("terminate",user,"--yes","--json",timeout=60); print("   terminate",r.code,file=out) if r.code else None
    else:
        e=d["error"]
        print("\n== %-32s FAIL %.1fs %s: %s\n     hint: %s\n     detail: %s"%(name,took,e["code"],e["message"],e["hint"],e["detail"][-600:]),file=out)
    if "expect" in a: print("   EXPECT",a["expect"],file=out)
    out.close()
    if "after" in a: host.run("root",["sh","-c",a["after"]])
    bed.fresh_home(user)
